"""The turns of one kind of actor: what each comes to, and what becomes of it.

A turn may be computed on state that is not committed yet; `pending` counts how
much of an actor is in that state, and nothing is loaded for it before that is
settled. What can become of a turn, and what it does to its actor:

    succeeded           LOADED stays LOADED; the writer gets it
    refused             acknowledged; COLD if it had changed the state
    failed, to retry    BLOCKED until its time (`block`), or moved away and the others go on (`skip`),
                        or BLOCKED until it is resumed (`park`)
    failed for good     a dead letter; COLD if it had changed the state
    verdict VOID        back to the front, to be computed again; COLD
    verdict LOST        forgotten: another process has it; COLD
    verdict REPEATED    acknowledged: its idempotency key has its outcome already; COLD
    verdict FAILED      back to the front, where the database's error counts as the turn's; COLD

An ask is never retried: who asks gets the error.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import trio
from attrs import define, field

from rolebook.actors import ActorDefinition, Dead, Refused, RetryAt, RolebookError, judge

from ._failing import cause, dead_part, park_part, retry_part, text_of
from ._finished import Finished, NotOwner, Repeated, Settled, Verdict
from ._headers import ONCE, asked, once_id, parse
from ._replying import copy_part, error_part, first_error_part
from ._resident import Phase, Resident, Spill, Work
from ._residents import Residents
from ._rows import Fence, Message, Rare
from ._sending import Sender
from ._signals import Credit, HandlerSignal, LocalAsk, Reread
from ._tools import Tools
from ._turning import Computed, Turning

_log = logging.getLogger("rolebook.handler")


@define(eq=False)
class Turns:
    """Computes turns, notes their outcome for the writer, and takes the writer's verdicts.

    Attributes:
        origin: Where the writer sends its verdicts.
        fences: The partitions this process owns.
        credit: Room to give back to the fetcher.
        held: Messages that blocked keys hold: they take up no room, so that other keys can go on.
        marking: Keys whose mark that they are parked is not committed yet.
        count: Turns computed.
        out: What waits to be handed to the writer.
    """

    definition: ActorDefinition
    tools: Tools
    residents: Residents
    origin: trio.MemorySendChannel[HandlerSignal]
    fences: Mapping[int, Fence] = field(factory=dict[int, Fence])
    credit: int = 0
    held: int = 0
    marking: set[str | None] = field(factory=set[str | None])
    count: int = 0
    out: list[Finished] = field(factory=list[Finished])
    _refused: dict[int, Exception] = field(factory=dict[int, Exception])
    _turning: Turning = field(init=False)

    def __attrs_post_init__(self) -> None:
        tools = self.tools
        sender = Sender(tools.app, tools.store.partitions, tools.app.limits.payload)
        self._turning = Turning(self.definition, tools.app, sender, tools.clock, tools.settings)

    # ---- computing ----

    def accept(self, resident: Resident, work: Work) -> None:
        """Compute a turn now if the actor is loaded; otherwise the work waits in line."""
        if resident.phase is Phase.LOADED:
            self._turn(resident, work)
            return
        resident.waiting.append(work)
        if resident.phase is Phase.COLD:
            self.residents.cold[resident.key] = resident
        elif resident.phase is Phase.BLOCKED:
            self._make_room(resident, (work,))

    def go_on(self, resident: Resident) -> None:
        """Compute the turns that wait for a loaded actor, up to one that stops it."""
        while resident.waiting and resident.phase is Phase.LOADED:
            self._turn(resident, resident.waiting.popleft())
        self.line_up(resident)

    def hand_over(self) -> None:
        """Give the writer what is finished, and the fetcher the room that is free."""
        if self.out:
            self.tools.outbox.send_nowait(self.out)
            self.out = []
        if self.credit:
            self.tools.fetcher.send_nowait(Credit(self.definition.name, self.credit))
            self.credit = 0

    def _turn(self, resident: Resident, work: Work) -> None:
        if isinstance(work, LocalAsk):
            if work.promise.given_up:
                return
        elif work.wait is not None:
            self._block(resident, work, work.wait)
            return
        elif work.id in self._refused:
            self._failed(resident, work, self._refused.pop(work.id), spoilt=True)
            return
        if resident.once and self._once(resident, work) in resident.once:
            # The first turn of its idempotency key waits for its commit, and with it this one.
            resident.waiting.appendleft(work)
            resident.discard()
            self.residents.cold[resident.key] = resident
            return
        computed = self._turning.compute(resident, work)
        self.count += 1
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

    # ---- failing ----

    def _failed(self, resident: Resident, work: Work, error: Exception, *, spoilt: bool) -> None:
        """Note the outcome of a turn that raised."""
        once = self._first_error(resident, work, error)
        if isinstance(work, LocalAsk):
            self._finished(resident, work, once).error = error
        elif work.headers is not None and (remote := asked(parse(work.headers))) is not None:
            self._finished(resident, work, (error_part(*remote, error), *once))
        else:
            outcome = judge(error, work.attempts + 1, self.definition.retry, self.tools.random)
            if isinstance(outcome, RetryAt) and self.definition.on_failure != "skip":
                self._hold(resident, work, outcome, once)
                return
            self._let_go(resident, work, outcome, once)
        if spoilt:
            resident.discard()

    def refuse(self, resident: Resident, message: Message, error: Exception) -> None:
        """A parked actor handles nothing: its messages stay in the mailbox, but who asks is told."""
        if message.headers is not None and (remote := asked(parse(message.headers))) is not None:
            self._finished(resident, message, (error_part(*remote, error),))
        else:
            self.done_with(message)

    def park(self, message: Message, problem: Exception) -> bool:
        """Store at an actor's first message that it is parked, and why; not at an ask, which is answered."""
        if message.headers is not None and asked(parse(message.headers)) is not None:
            return False
        if message.wait == float("inf"):
            self.done_with(message)  # it is stored already
            return True
        assert message.key is not None
        self.marking.add(message.key)
        part = park_part(message, problem)
        self.out.append(Finished(self.origin, message.fence, rare=(part,), subject=(None, message)))
        return True

    def _let_go(
        self, resident: Resident, work: Message, outcome: Refused | Dead | RetryAt, once: Sequence[Rare]
    ) -> None:
        """The failed message leaves the line of its key."""
        if isinstance(outcome, Refused):
            _log.info("%s refused: %s", _name(work), outcome.rejection)
            self._finished(resident, work, once)
            return
        error = outcome.error
        if isinstance(outcome, Dead):
            _log.error("%s is a dead letter: %s", _name(work), text_of(error), exc_info=cause(error))
            part = dead_part(work, error)
        else:
            _log.warning("%s failed, retry in %.1f s: %s", _name(work), outcome.delay_seconds, text_of(error))
            part = retry_part("later", work, error, outcome.delay_seconds)
        self._finished(resident, work, (part, *once)).consumed = None  # the part names its message itself

    def _hold(self, resident: Resident, work: Message, outcome: RetryAt, once: Sequence[Rare]) -> None:
        """The failed message keeps its place: its key waits until its time has come."""
        delay = None if self.definition.on_failure == "park" else outcome.delay_seconds
        until = "parked until it is resumed" if delay is None else f"retry in {delay:.1f} s"
        _log.warning("%s failed, %s: %s", _name(work), until, text_of(outcome.error))
        part = retry_part("retries", work, outcome.error, delay)
        self._finished(resident, work, (part, *once)).consumed = None
        work.attempts += 1
        work.wait = float("inf") if delay is None else delay
        self._block(resident, work, work.wait)

    def _block(self, resident: Resident, head: Message, wait: float) -> None:
        self.residents.block(resident, head, wait)
        self._make_room(resident, tuple(resident.waiting))

    def _make_room(self, resident: Resident, newly: Sequence[Work]) -> None:
        """Let what a blocked key holds take up no room, and set aside what is beyond its bound.

        With many keys blocked each holds its first message only: what they hold
        together is bounded by their number and the mailbox's capacity.
        """
        for work in newly:
            if isinstance(work, Message) and work.counted:
                work.counted = False
                self.credit += 1
                self.held += 1
        settings = self.tools.settings
        while len(resident.waiting) > 1 and (
            len(resident.waiting) > settings.blocked_capacity or self.held > settings.mailbox_capacity
        ):
            work = resident.waiting.pop()
            resident.spill = Spill.ASIDE
            if isinstance(work, Message):
                self.done_with(work)
            else:
                resident.asks.insert(0, work)

    def done_with(self, message: Message) -> None:
        """Forget a message: it is handled, or will come again."""
        if message.counted:
            self.credit += 1
        else:
            self.held -= 1

    def bury_keyless(self, message: Message) -> None:
        """A message to an actor needs a key: one without becomes a dead letter."""
        name = self.definition.name
        error = RolebookError(f"a message to actor {name!r} has no key; send it with tell(actor, key, …)")
        _log.error("%s is a dead letter: %s", _name(message), error)
        part = dead_part(message, error)
        self.out.append(Finished(self.origin, message.fence, rare=(part,), subject=(None, message)))

    def _finished(self, resident: Resident, work: Work, rare: Sequence[Rare]) -> Finished:
        """Note a turn for the writer; its message is deleted with it."""
        finished = Finished(self.origin, rare=rare, lineage=resident.lineage, subject=(resident, work))
        if isinstance(work, Message):
            finished.fence = work.fence
            finished.consumed = work
        else:
            finished.fence = self.fences.get(resident.partition)
            finished.promise = work.promise
        resident.pending += 1
        if rare:
            resident.once |= _once_ids(rare)
        self.out.append(finished)
        return finished

    # ---- idempotency keys ----

    def _once(self, resident: Resident, work: Work) -> str | None:
        """Under which name the first outcome of this work is stored, if it has an idempotency key."""
        if work.headers is None or (key := parse(work.headers).get(ONCE)) is None:
            return None
        return once_id(self.definition.name, resident.key, key)

    def _first_error(self, resident: Resident, work: Work, error: Exception) -> Sequence[Rare]:
        once = self._once(resident, work)
        if once is None:
            return ()
        return (first_error_part(once, error, self.tools.settings.idempotency_retention),)

    def _repeated(self, resident: Resident, work: Work) -> None:
        """Its first outcome is stored: this turn comes to nothing else."""
        once = self._once(resident, work)
        assert once is not None
        _unblock_head(resident, work)
        resident.discard()
        if isinstance(work, LocalAsk):
            work.promise.fail(Repeated(once))
            return
        remote = asked(parse(work.headers))
        self._finished(resident, work, () if remote is None else (copy_part(*remote, once),))

    # ---- verdicts ----

    def settle(self, settled: Settled) -> None:
        """Take the writer's verdict on some turns."""
        for finished in settled.turns:
            resident, work = finished.subject
            if resident is None:
                self.marking.discard(work.key)
                self.done_with(work)
                continue
            resident.pending -= 1
            if resident.once:
                resident.once -= _once_ids(finished.rare)
            if settled.verdict is Verdict.COMMITTED:
                if isinstance(work, Message) and not _keeps_its_row(finished):
                    self.done_with(work)
            elif settled.verdict is Verdict.LOST:
                self._lost(resident, work)
            elif settled.verdict is Verdict.REPEATED:
                self._repeated(resident, work)
            else:
                self._again(resident, work, settled.error if settled.verdict is Verdict.FAILED else None)
            if resident.pending == 0:
                self._settled(resident)

    def _lost(self, resident: Resident, work: Work) -> None:
        _unblock_head(resident, work)
        if isinstance(work, Message):
            self.done_with(work)
        else:
            work.promise.fail(NotOwner("the partition went to another process"))
        resident.discard()

    def _again(self, resident: Resident, work: Work, error: Exception | None) -> None:
        """Put a turn that did not commit back, to be computed anew on what is committed."""
        _unblock_head(resident, work)
        if error is None:
            resident.redo.append(work)
        elif isinstance(work, Message):
            self._refused[work.id] = error
            resident.redo.append(work)
        else:
            work.promise.fail(error)
        if resident.phase is not Phase.BLOCKED:
            resident.discard()

    def _settled(self, resident: Resident) -> None:
        """Nothing of the actor is uncommitted any more."""
        if resident.redo:
            resident.put_back()
            resident.discard()
        self.line_up(resident)

    def line_up(self, resident: Resident) -> None:
        """Load the actor if it has work; read its key again if messages were set aside and it has none."""
        if resident.phase is Phase.COLD and resident.waiting:
            self.residents.cold[resident.key] = resident
        elif resident.spill is Spill.ASIDE and not resident.waiting and resident.pending == 0:
            resident.spill = Spill.REREADING
            resident.reading += 1
            name, key, partition = self.definition.name, resident.key, resident.partition
            self.tools.fetcher.send_nowait(Reread(name, key, partition, resident.reading))


def _unblock_head(resident: Resident, work: Work) -> None:
    """A retry that was not recorded did not happen: its message does not wait at the head."""
    if isinstance(work, Message) and resident.waiting and resident.waiting[0] is work:
        resident.waiting.popleft()
        work.wait = None
        work.attempts -= 1
        resident.discard()


def _once_ids(rare: Sequence[Rare]) -> frozenset[str]:
    return frozenset(part.row["id"] for part in rare if part.kind == "once")


def _keeps_its_row(finished: Finished) -> bool:
    return any(part.kind == "retries" for part in finished.rare)


def _name(message: Message) -> str:
    where = f"{message.queue}/{message.key}"
    return f"message {message.id} ({message.type} to {where}, attempt {message.attempts + 1})"
