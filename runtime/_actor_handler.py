"""The handler of one kind of actor: takes their messages, loads who is cold, lets the turns be computed.

Deciders are pure and quick, so one task computes all turns of a kind, one
after the other, without a switch in between. See `Turns` for what becomes of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import final

import trio
from attrs import define, field, frozen

from rolebook.actors import ActorDefinition, RolebookError, Stopping

from ._finished import NotOwner, Settled
from ._partition import partition_of_key
from ._recovering import Recovered, Recovery
from ._resident import Phase, Resident, Spill
from ._residents import Residents
from ._rows import Message
from ._signals import Attach, Detach, HandlerSignal, LocalAsk, Page, Resume
from ._tools import Tools
from ._turns import Turns

_log = logging.getLogger("rolebook.handler")

SLICE = 0.005
"""Seconds of computing after which other tasks get their turn."""


@final
class ActorUnavailable(RolebookError):
    """The actor cannot handle anything now: its journal cannot be replayed."""


@final
@frozen
class ActorStatistics:
    """What a process holds of one kind of actor, and has done with it.

    Attributes:
        residents: Actors in memory.
        blocked: Keys that wait for a retry.
        parked: Keys whose journal cannot be replayed.
        turns: Turns computed.
        recovered: Actors loaded from the journal.
        hits: Messages and asks that found their actor in memory.
        evictions: Actors that left memory, because there were too many or nobody needed them.
    """

    residents: int
    blocked: int
    parked: int
    turns: int
    recovered: int
    hits: int
    evictions: int


@define(eq=False)
class ActorHandler:
    """Runs the actors of one kind whose partitions this process owns."""

    definition: ActorDefinition
    tools: Tools
    register: Callable[[str, trio.MemorySendChannel[HandlerSignal] | None], None]
    recovered: int = 0
    _asks: list[LocalAsk] = field(factory=list[LocalAsk])
    _covers: int = 0
    _knows_owner: bool = False
    _next_check: float = 0.0
    _next_sweep: float = float("inf")
    _residents: Residents = field(init=False)
    _turns: Turns = field(init=False)
    _recovery: Recovery = field(init=False)
    _send: trio.MemorySendChannel[HandlerSignal] = field(init=False)
    _inbox: trio.MemoryReceiveChannel[HandlerSignal] = field(init=False)

    def __attrs_post_init__(self) -> None:
        tools = self.tools
        # Unbounded, because what comes in is bounded by the credit given to the fetcher.
        self._send, self._inbox = trio.open_memory_channel[HandlerSignal](float("inf"))
        self._residents = Residents(tools.store.partitions)
        self._turns = Turns(self.definition, tools, self._residents, self._send)
        self._recovery = Recovery(self.definition, tools.app.codec, tools.store)

    def statistics(self) -> ActorStatistics:
        """Return what it holds and has done."""
        phases = [resident.phase for resident in self._residents.halted()]
        return ActorStatistics(
            len(self._residents),
            phases.count(Phase.BLOCKED),
            phases.count(Phase.PARKED),
            self._turns.count,
            self.recovered,
            self._residents.hits,
            self._residents.evictions,
        )

    def parked(self) -> dict[str, Exception]:
        """Return the keys whose journal cannot be replayed, with the reason."""
        return {
            resident.key: resident.problem
            for resident in self._residents.halted()
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
            self._turn_away()
            self._inbox.close()
            self.tools.fetcher.send_nowait(Detach(name, self._send))

    async def _round(self) -> None:
        signal: HandlerSignal | None = None
        check = self._next_check if self._residents.stuck else float("inf")
        with trio.move_on_at(min(self._residents.next_due, check, self._next_sweep)):
            signal = await self._inbox.receive()
        if signal is None and trio.current_time() >= check:
            await self._check_stuck()
        # From here to the next await nothing can be cancelled half-way.
        if signal is not None:
            self._take_in(signal)
        self._residents.wake_due()
        await self._work()

    async def _check_stuck(self) -> None:
        """Look whether parked keys were resumed: the doorbell that says so may be lost."""
        parked = await self.tools.store.parked([self.definition.name])
        # What is not marked in the mailbox was resumed, unless its mark is still on the way there.
        for key in self._residents.resumable([each.key for each in parked]):
            if key not in self._turns.marking:
                self._resume(key)
        self._next_check = trio.current_time() + self.tools.settings.poll_interval

    def look_for_resumed(self) -> None:
        """Look soon whether parked keys were resumed."""
        with suppress(trio.BrokenResourceError):
            self._send.send_nowait(Resume())

    def _resume(self, key: str) -> None:
        resident = self._residents.find(key)
        if resident is None or not resident.is_stuck:
            return
        _log.info("actor %s/%s is resumed", self.definition.name, key)
        if resident.phase is Phase.BLOCKED:
            self._residents.unblock(resident)
            return
        # Its messages were left in the mailbox.
        resident.phase, resident.problem, resident.spill = Phase.COLD, None, Spill.ASIDE
        self._turns.line_up(resident)

    async def _work(self) -> None:
        """Compute what can be computed, loading what is cold, until only the inbox can bring more."""
        settings = self.tools.settings
        slice_end = trio.current_time() + SLICE
        while True:
            if (signal := self._next_signal()) is not None:
                self._take_in(signal)
            elif not await self._load_cold():
                break
            if len(self._turns.out) >= settings.batch // 2 or trio.current_time() > slice_end:
                self._turns.hand_over()
                await trio.lowlevel.checkpoint()
                slice_end = trio.current_time() + SLICE
        self._turns.hand_over()
        idle = min(self.definition.passivate_after, settings.passivate_after)
        self._residents.passivate(settings.residents, idle)
        # If nothing comes any more, those that are left leave then.
        self._next_sweep = trio.current_time() + idle if self._residents else float("inf")

    def _next_signal(self) -> HandlerSignal | None:
        """Return what is in the inbox. Nothing is computed in here: its traceback would show the `except`."""
        try:
            return self._inbox.receive_nowait()
        except trio.WouldBlock:
            return None

    async def _drain(self) -> None:
        """Wait for the verdicts on what has begun; what comes in besides goes back unhandled."""
        self._turns.hand_over()
        while any(resident.pending for resident in self._residents):
            signal = await self._inbox.receive()
            if isinstance(signal, Settled):
                self._turns.settle(signal)
                self._turns.hand_over()  # a repetition is acknowledged in a commit of its own
            elif isinstance(signal, LocalAsk):
                self._asks.append(signal)

    def _turn_away(self) -> None:
        """Tell those who asked, and whose turn has not begun, to take another way."""
        asks = list(self._asks)
        for resident in self._residents:
            works = (*resident.waiting, *resident.redo, *resident.asks)
            asks += [work for work in works if isinstance(work, LocalAsk)]
        try:
            while True:
                if isinstance(signal := self._inbox.receive_nowait(), LocalAsk):
                    asks.append(signal)
        except trio.WouldBlock:
            pass
        for ask in asks:
            ask.promise.fail(NotOwner("the handler stopped before the turn began"))

    # ---- taking in ----

    def _take_in(self, signal: HandlerSignal) -> None:
        if isinstance(signal, Page):
            self._take_page(signal)
        elif isinstance(signal, Settled):
            self._turns.settle(signal)
        elif isinstance(signal, LocalAsk):
            self._take_ask(signal)
        elif isinstance(signal, Resume):
            self._next_check = 0.0
        else:
            self._turns.fences = signal.fences
            self._covers, self._knows_owner = 0, True
            self._take_held_asks()

    def _take_page(self, page: Page) -> None:
        for message in page.messages:
            self._take_message(message, page)
        if page.last and page.key is not None:
            self._end_reread(page.key, page.number)
        if page.covers is not None:
            self._covers = page.covers
            self._take_held_asks()

    def _take_held_asks(self) -> None:
        held, self._asks = self._asks, []
        for ask in held:
            self._take_ask(ask)

    def _take_message(self, message: Message, page: Page) -> None:
        if message.key is None:
            self._turns.bury_keyless(message)
            return
        resident = self._residents.need(message.key)
        if resident.phase is Phase.PARKED:
            self._turns.refuse(resident, message, self._unavailable(resident))
        elif not _is_next(resident, page):
            self._turns.done_with(
                message
            )  # it stays in the mailbox, or comes again when the key is read again
        else:
            self._turns.accept(resident, message)

    def _end_reread(self, key: str, number: int) -> None:
        resident = self._residents.find(key)
        if resident is None or resident.spill is not Spill.REREADING or resident.reading != number:
            return
        resident.spill = Spill.NONE
        asks = tuple(resident.asks)
        resident.asks.clear()
        for ask in asks:
            self._take_ask(ask)

    def _take_ask(self, ask: LocalAsk) -> None:
        partition = partition_of_key(ask.key, self.tools.store.partitions)
        if ask.promise.given_up:
            return
        if not self._knows_owner:
            self._asks.append(ask)
        elif partition not in self._turns.fences:
            ask.promise.fail(NotOwner("this process does not own the partition"))
        elif ask.after > self._covers:
            self._asks.append(ask)
        else:
            resident = self._residents.need(ask.key)
            if resident.phase is Phase.BLOCKED or resident.asks:
                resident.forget_given_up()
            if resident.phase is Phase.PARKED:
                ask.promise.fail(self._unavailable(resident))
            elif resident.spill is not Spill.NONE:
                resident.asks.append(ask)  # what was sent before it comes in again first
            else:
                self._turns.accept(resident, ask)

    # ---- loading ----

    async def _load_cold(self) -> bool:
        """Load cold actors that have work and nothing uncommitted, by one query; say whether there were any.

        One with a long journal is loaded over several rounds, and keeps nobody else waiting.
        """
        wanted = self._residents.loadable()
        if not wanted:
            return False
        self._turns.hand_over()
        found = await self._recovery.go_on([resident.key for resident in wanted])
        for resident in wanted:
            recovered = found.get(resident.key)
            if recovered is not None:
                self._residents.cold.pop(resident.key, None)
                if resident.phase is Phase.COLD:
                    self._loaded(resident, recovered)
        return True

    def _loaded(self, resident: Resident, recovered: Recovered) -> None:
        self.recovered += 1
        if recovered.problem is not None:
            self._park(resident, recovered.problem)
            return
        resident.phase = Phase.LOADED
        resident.state, resident.seq, resident.snapshot = recovered.state, recovered.seq, recovered.snapshot
        self._turns.go_on(resident)

    def _park(self, resident: Resident, problem: Exception) -> None:
        """Leave an actor alone whose journal cannot be replayed; its messages stay in the mailbox."""
        _log.error("actor %s/%s is parked: %s", self.definition.name, resident.key, problem)
        resident.phase, resident.problem = Phase.PARKED, problem
        self._residents.stuck.add(resident.key)
        marked = False
        for work in (*resident.waiting, *resident.asks):
            if isinstance(work, LocalAsk):
                work.promise.fail(self._unavailable(resident))
            elif not marked and self._turns.park(work, problem):
                marked = True
            else:
                self._turns.refuse(resident, work, self._unavailable(resident))
        resident.waiting.clear()
        resident.asks.clear()
        resident.spill = Spill.NONE

    def _unavailable(self, resident: Resident) -> ActorUnavailable:
        name = f"{self.definition.name}/{resident.key}"
        return ActorUnavailable(f"actor {name} is parked: {resident.problem}")


def _is_next(resident: Resident, page: Page) -> bool:
    """Whether a page's messages follow those the actor has: not if some in between were set aside."""
    if page.key is None:
        return resident.spill is Spill.NONE
    return resident.spill is Spill.REREADING and resident.reading == page.number
