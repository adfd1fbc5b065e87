"""The handler of one kind of actor: takes their messages, computes their turns, hands them to the writer.

Deciders are pure and quick, so one task computes all turns of a kind, one
after the other, without a switch in between. A turn may be computed on state
that is not committed yet; `pending` counts how much of an actor is in that
state, and nothing is loaded or retried for it before that is settled.

What can become of a turn, and what it does to its actor:

    succeeded           LOADED stays LOADED; the writer gets it
    refused             acknowledged; COLD if it had changed the state
    failed, to retry    BLOCKED until its time (`block`), or moved away and the others go on (`skip`),
                        or BLOCKED for good (`park`)
    failed for good     a dead letter; COLD if it had changed the state
    verdict VOID        back to the front, to be computed again; COLD
    verdict LOST        forgotten: another process has it; COLD
    verdict FAILED      back to the front, where the database's error counts as the turn's; COLD
"""

from __future__ import annotations

import heapq
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import trio
from attrs import define, field, frozen

from understudy.actors import ActorDefinition, Dead, Refused, RetryAt, Stopping, UnderstudyError, judge

from ._failing import dead_part, retry_part
from ._finished import Finished, Lineage, NotOwner, Settled, Verdict
from ._headers import asked, parse
from ._partition import partition_of_key
from ._recovering import Recovered, Recovery
from ._replying import error_part
from ._resident import Phase, Resident, Spill, Work
from ._rows import Fence, Message, Rare
from ._sending import Sender
from ._signals import Attach, Credit, Detach, HandlerSignal, LocalAsk, Owned, Page, Reread
from ._tools import Tools
from ._turning import Computed, Turning

_log = logging.getLogger("understudy.handler")

SLICE = 0.005
"""Seconds of computing after which other tasks get their turn."""


class ActorUnavailable(UnderstudyError):
    """The actor cannot handle anything now: its journal cannot be replayed."""


@frozen
class ActorStatistics:
    """What a handler of actors holds and has done.

    Attributes:
        residents: Actors in memory.
        blocked: Keys that wait for a retry.
        parked: Keys whose journal cannot be replayed.
        turns: Turns computed.
        recovered: Actors loaded.
    """

    residents: int
    blocked: int
    parked: int
    turns: int
    recovered: int


@define(eq=False)
class ActorHandler:
    """Runs the actors of one kind whose partitions this process owns."""

    definition: ActorDefinition
    tools: Tools
    register: Callable[[str, trio.MemorySendChannel[HandlerSignal] | None], None]
    turns: int = 0
    recovered: int = 0
    _residents: OrderedDict[str, Resident] = field(factory=OrderedDict)
    _cold: dict[str, Resident] = field(factory=dict)
    _fences: dict[int, Fence] = field(factory=dict)
    _out: list[Finished] = field(factory=list)
    _timers: list[tuple[float, int, Resident]] = field(factory=list)
    _refused: dict[int, Exception] = field(factory=dict)
    _asks: list[LocalAsk] = field(factory=list)
    _covers: int = 0
    _credit: int = 0
    _tie: Iterator[int] = field(factory=count)
    _turning: Turning = field(init=False)
    _recovery: Recovery = field(init=False)
    _send: trio.MemorySendChannel[HandlerSignal] = field(init=False)
    _inbox: trio.MemoryReceiveChannel[HandlerSignal] = field(init=False)

    def __attrs_post_init__(self) -> None:
        tools = self.tools
        sender = Sender(tools.app, tools.store.partitions, tools.app.limits.payload)
        self._turning = Turning(self.definition, tools.app, sender, tools.clock)
        self._recovery = Recovery(self.definition, tools.app.codec, tools.store)
        # Unbounded, because what comes in is bounded by the credit given to the fetcher.
        self._send, self._inbox = trio.open_memory_channel[HandlerSignal](float("inf"))

    def statistics(self) -> ActorStatistics:
        """Return what it holds and has done."""
        phases = [resident.phase for resident in self._residents.values()]
        return ActorStatistics(
            len(phases),
            phases.count(Phase.BLOCKED),
            phases.count(Phase.PARKED),
            self.turns,
            self.recovered,
        )

    def parked(self) -> dict[str, Exception]:
        """Return the keys whose journal cannot be replayed, with the reason."""
        return {
            key: resident.problem
            for key, resident in self._residents.items()
            if resident.phase is Phase.PARKED and resident.problem is not None
        }

    async def run(
        self, *, stopping: Stopping, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Handle messages until asked to stop; then settle what has begun, and give the rest back."""
        name = self.definition.name
        self.register(name, self._send)
        self.tools.fetcher.send_nowait(Attach(name, self._send, self.tools.settings.mailbox_capacity))
        task_status.started()
        try:
            while not stopping.is_set():
                with stopping.interrupts():
                    await self._round()
            self.register(name, None)
            await self._drain()
        finally:
            self.register(name, None)
            self._inbox.close()
            self._turn_away()
            self.tools.fetcher.send_nowait(Detach(name, self._send))

    async def _round(self) -> None:
        signal: HandlerSignal | None = None
        with trio.move_on_at(self._timers[0][0] if self._timers else float("inf")):
            signal = await self._inbox.receive()
        # From here to the next await nothing can be cancelled half-way.
        if signal is not None:
            self._take_in(signal)
        self._wake_due()
        await self._work()

    async def _work(self) -> None:
        """Compute what can be computed, loading what is cold, until only the inbox can bring more."""
        slice_end = trio.current_time() + SLICE
        while True:
            try:
                self._take_in(self._inbox.receive_nowait())
            except trio.WouldBlock:
                if not await self._load_cold():
                    break
            if len(self._out) >= self.tools.settings.batch // 2 or trio.current_time() > slice_end:
                self._hand_over()
                await trio.lowlevel.checkpoint()
                slice_end = trio.current_time() + SLICE
        self._hand_over()
        self._passivate()

    async def _drain(self) -> None:
        """Wait for the verdicts on what has begun; what comes in besides goes back unhandled."""
        self._hand_over()
        while any(resident.pending for resident in self._residents.values()):
            signal = await self._inbox.receive()
            if isinstance(signal, Settled):
                self._settle(signal)
            elif isinstance(signal, LocalAsk):
                self._asks.append(signal)

    def _turn_away(self) -> None:
        """Tell those who asked, and whose turn has not begun, to take another way."""
        waiting = [work for resident in self._residents.values() for work in resident.waiting]
        waiting += [work for resident in self._residents.values() for work in resident.redo]
        for ask in (*waiting, *self._asks):
            if isinstance(ask, LocalAsk):
                ask.promise.fail(NotOwner("the handler stopped before the turn began"))

    # ---- taking in ----

    def _take_in(self, signal: HandlerSignal) -> None:
        if isinstance(signal, Page):
            self._take_page(signal)
        elif isinstance(signal, Settled):
            self._settle(signal)
        elif isinstance(signal, LocalAsk):
            self._take_ask(signal)
        else:
            self._fences = dict(signal.fences)

    def _take_page(self, page: Page) -> None:
        for message in page.messages:
            self._take_message(message, reread=page.key is not None)
        if page.last and page.key is not None:
            self._end_reread(page.key)
        if page.covers is not None:
            self._covers = page.covers
            held, self._asks = self._asks, []
            for ask in held:
                self._take_ask(ask)

    def _take_message(self, message: Message, *, reread: bool) -> None:
        if message.key is None:
            self._bury_keyless(message)
            return
        resident = self._resident(message.key)
        if resident.phase is Phase.PARKED:
            self._credit += 1
        elif resident.spill is not Spill.NONE and not reread:
            self._credit += 1  # it comes again when the key is read again
        elif (
            resident.phase is Phase.BLOCKED and len(resident.waiting) >= self.tools.settings.blocked_capacity
        ):
            resident.spill = Spill.ASIDE
            self._credit += 1
        else:
            self._accept(resident, message)

    def _take_ask(self, ask: LocalAsk) -> None:
        if ask.promise.given_up:
            return
        if self._fences.get(partition_of_key(ask.key, self.tools.store.partitions)) is None:
            ask.promise.fail(NotOwner("this process does not own the partition"))
        elif ask.after > self._covers:
            self._asks.append(ask)
        else:
            resident = self._resident(ask.key)
            if resident.phase is Phase.PARKED:
                ask.promise.fail(self._unavailable(resident))
            else:
                self._accept(resident, ask)

    def _accept(self, resident: Resident, work: Work) -> None:
        if resident.phase is Phase.LOADED:
            self._turn(resident, work)
            return
        resident.waiting.append(work)
        if resident.phase is Phase.COLD:
            self._cold[resident.key] = resident

    def _resident(self, key: str) -> Resident:
        resident = self._residents.get(key)
        if resident is None:
            partition = partition_of_key(key, self.tools.store.partitions)
            resident = self._residents[key] = Resident(key, partition)
        else:
            self._residents.move_to_end(key)
        resident.used = trio.current_time()
        return resident

    # ---- turns ----

    def _turn(self, resident: Resident, work: Work) -> None:
        """Compute one turn on a loaded actor and note what is to be committed."""
        if isinstance(work, Message):
            if work.wait is not None:
                self._block(resident, work, work.wait)
                return
            error = self._refused.pop(work.id, None) if self._refused else None
        elif work.promise.given_up:
            return
        else:
            error = None
        if error is not None:
            self._failed(resident, work, error, spoilt=True)
            return
        computed = self._turning.compute(resident, work)
        self.turns += 1
        if computed.error is None:
            self._succeeded(resident, work, computed)
        else:
            self._failed(resident, work, computed.error, spoilt=computed.spoilt)

    def _succeeded(self, resident: Resident, work: Work, computed: Computed) -> None:
        finished = self._finished(resident, work, computed.rare)
        finished.events = computed.events
        finished.sends = computed.sends
        finished.reply = computed.reply
        if computed.stop:
            resident.discard()

    def _failed(self, resident: Resident, work: Work, error: Exception, *, spoilt: bool) -> None:
        """Note the outcome of a turn that raised."""
        if isinstance(work, LocalAsk):
            self._finished(resident, work, ()).error = error
            if spoilt:
                resident.discard()
            return
        remote = None if work.headers is None else asked(parse(work.headers))
        if remote is not None:  # who asks decides whether to try again, as with an ask in one process
            self._finished(resident, work, (error_part(*remote, error),))
            if spoilt:
                resident.discard()
            return
        outcome = judge(error, work.attempts + 1, self.definition.retry, self.tools.random)
        if isinstance(outcome, Refused):
            _log.info("%s refused: %s", _name(work), error)
            self._finished(resident, work, ())
        elif isinstance(outcome, Dead):
            _log.error("%s is a dead letter: %s", _name(work), _text(error), exc_info=_cause(error))
            self._without_delete(resident, work, dead_part(work, error))
        elif self.definition.on_failure == "skip":
            _log.warning("%s failed, retry in %.1f s: %s", _name(work), outcome.delay_seconds, _text(error))
            self._without_delete(resident, work, retry_part("later", work, error, outcome.delay_seconds))
        else:
            self._hold(resident, work, outcome)
            return
        if spoilt:
            resident.discard()

    def _hold(self, resident: Resident, work: Message, outcome: RetryAt) -> None:
        """The failed message keeps its place: its key waits until its time has come."""
        delay = None if self.definition.on_failure == "park" else outcome.delay_seconds
        _log.warning(
            "%s failed, %s: %s",
            _name(work),
            "parked until it is resumed" if delay is None else f"retry in {delay:.1f} s",
            _text(outcome.error),
        )
        self._without_delete(resident, work, retry_part("retries", work, outcome.error, delay))
        work.attempts += 1
        work.wait = float("inf") if delay is None else delay
        self._block(resident, work, work.wait)

    def _block(self, resident: Resident, work: Message, wait: float) -> None:
        resident.discard()
        resident.phase = Phase.BLOCKED
        resident.waiting.appendleft(work)
        resident.due = trio.current_time() + wait
        heapq.heappush(self._timers, (resident.due, next(self._tie), resident))

    def _bury_keyless(self, message: Message) -> None:
        error = UnderstudyError(
            f"a message to actor {self.definition.name!r} has no key; send it with tell(actor, key, …)"
        )
        self._out.append(
            Finished(self._send, message.fence, rare=(dead_part(message, error),), subject=(None, message))  # type: ignore[arg-type]
        )

    def _finished(self, resident: Resident, work: Work, rare: Sequence[Rare]) -> Finished:
        """Note a turn for the writer; its message is deleted with it."""
        finished = Finished(
            self._send,  # type: ignore[arg-type]
            rare=rare,
            lineage=resident.lineage,
            subject=(resident, work),
        )
        if isinstance(work, Message):
            finished.fence = work.fence
            finished.consumed = work
        else:
            finished.fence = self._fences.get(resident.partition)
            finished.promise = work.promise
        resident.pending += 1
        self._out.append(finished)
        return finished

    def _without_delete(self, resident: Resident, work: Message, part: Rare) -> None:
        """Note an outcome that names its message itself."""
        self._finished(resident, work, (part,)).consumed = None

    def _hand_over(self) -> None:
        if self._out:
            self.tools.outbox.send_nowait(self._out)
            self._out = []
        if self._credit:
            self.tools.fetcher.send_nowait(Credit(self.definition.name, self._credit))
            self._credit = 0

    # ---- verdicts ----

    def _settle(self, settled: Settled) -> None:
        for finished in settled.turns:
            resident, work = finished.subject
            if resident is None:
                self._credit += 1
                continue
            resident.pending -= 1
            if settled.verdict is Verdict.COMMITTED:
                self._committed(resident, work, finished)
            elif settled.verdict is Verdict.LOST:
                self._lost(resident, work)
            else:
                self._again(resident, work, finished.lineage, settled)
            if resident.pending == 0:
                self._resume(resident)

    def _committed(self, resident: Resident, work: Work, finished: Finished) -> None:
        if isinstance(work, Message) and not _keeps_its_row(finished):
            self._credit += 1

    def _lost(self, resident: Resident, work: Work) -> None:
        if isinstance(work, Message):
            self._credit += 1
            if resident.waiting and resident.waiting[0] is work:
                resident.waiting.popleft()  # its retry was noted, but the message is gone
        else:
            work.promise.fail(NotOwner("the partition went to another process"))
        resident.discard()

    def _again(self, resident: Resident, work: Work, lineage: Lineage | None, settled: Settled) -> None:
        """Put a turn that did not commit back, to be computed anew on what is committed."""
        if resident.waiting and resident.waiting[0] is work:
            resident.waiting.popleft()  # a retry that was not recorded: the turn itself is done again
            work.wait = None  # type: ignore[union-attr]
        if settled.error is not None:
            if isinstance(work, LocalAsk):
                work.promise.fail(settled.error)
            else:
                self._refused[work.id] = settled.error
        if settled.error is None or isinstance(work, Message):
            resident.redo.append(work)
        if resident.lineage is lineage or resident.phase is not Phase.BLOCKED:
            resident.discard()

    def _resume(self, resident: Resident) -> None:
        """Nothing of the actor is uncommitted any more: go on with what waits."""
        if resident.redo:
            resident.put_back()
            resident.discard()
        if resident.phase is Phase.COLD and resident.waiting:
            self._cold[resident.key] = resident
        elif resident.spill is Spill.ASIDE and not resident.waiting:
            self._read_again(resident)

    # ---- waking, loading, leaving ----

    def _wake_due(self) -> None:
        now = trio.current_time()
        while self._timers and self._timers[0][0] <= now:
            due, _, resident = heapq.heappop(self._timers)
            if resident.phase is Phase.BLOCKED and resident.due == due and resident.waiting:
                head = resident.waiting[0]
                if isinstance(head, Message):
                    head.wait = None
                resident.phase = Phase.COLD
                self._cold[resident.key] = resident

    async def _load_cold(self) -> bool:
        """Load the cold actors that have work and nothing uncommitted; say whether there were any."""
        wanted = [resident for resident in self._cold.values() if resident.pending == 0]
        if not wanted:
            return False
        self._hand_over()
        found = await self._recovery.recover([resident.key for resident in wanted])
        for resident in wanted:
            self._cold.pop(resident.key, None)
            if resident.phase is Phase.COLD:
                self._loaded(resident, found[resident.key])
        return True

    def _loaded(self, resident: Resident, recovered: Recovered) -> None:
        self.recovered += 1
        if recovered.problem is not None:
            self._park(resident, recovered.problem)
            return
        resident.phase = Phase.LOADED
        resident.state, resident.seq, resident.snapshot = recovered.state, recovered.seq, recovered.snapshot
        while resident.waiting and resident.phase is Phase.LOADED:
            self._turn(resident, resident.waiting.popleft())
        if resident.phase is Phase.COLD and resident.waiting:
            self._cold[resident.key] = resident
        if resident.spill is Spill.ASIDE and not resident.waiting and resident.pending == 0:
            self._read_again(resident)

    def _park(self, resident: Resident, problem: Exception) -> None:
        """Leave an actor alone whose journal cannot be replayed; its messages stay in the mailbox."""
        _log.error("actor %s/%s is parked: %s", self.definition.name, resident.key, problem)
        resident.phase, resident.problem = Phase.PARKED, problem
        for work in resident.waiting:
            if isinstance(work, LocalAsk):
                work.promise.fail(self._unavailable(resident))
            else:
                self._credit += 1
        resident.waiting.clear()

    def _unavailable(self, resident: Resident) -> ActorUnavailable:
        name = f"{self.definition.name}/{resident.key}"
        return ActorUnavailable(f"actor {name} is parked: {resident.problem}")

    def _read_again(self, resident: Resident) -> None:
        resident.spill = Spill.REREADING
        self.tools.fetcher.send_nowait(Reread(self.definition.name, resident.key, resident.partition))

    def _end_reread(self, key: str) -> None:
        resident = self._residents.get(key)
        if resident is not None and resident.spill is Spill.REREADING:
            resident.spill = Spill.NONE

    def _passivate(self) -> None:
        """Let actors leave memory: the least recently used first, by number and by age."""
        limit = self.tools.settings.residents
        oldest = trio.current_time() - min(
            self.definition.passivate_after, self.tools.settings.passivate_after
        )
        leaving: list[str] = []
        excess = len(self._residents) - limit
        for key, resident in self._residents.items():
            if excess <= len(leaving) and resident.used > oldest:
                break
            if resident.idle:
                leaving.append(key)
        for key in leaving:
            del self._residents[key]


def _keeps_its_row(finished: Finished) -> bool:
    return any(part.kind == "retries" for part in finished.rare)


def _name(message: Message) -> str:
    return f"message {message.id} ({message.type} to {message.queue}/{message.key}, attempt {message.attempts + 1})"


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _cause(error: BaseException) -> BaseException | None:
    """The traceback is worth printing when user code raised; our own errors say what to do."""
    return None if isinstance(error, UnderstudyError) else error


__all__ = ["ActorHandler", "ActorStatistics", "ActorUnavailable"]
