"""The handler of one kind of actor: takes their messages, loads who is cold, lets the turns be computed.

Deciders are pure and quick, so one task computes all turns of a kind, one
after the other, without a switch in between. See `TurnLedger` for what becomes of them.

**The gate of local asks.** An ask of this process comes by channel, and would overtake what was sent to the
same actor before, which is on its way through the mailbox. So every ask carries the number of `SendCount`
(`after`), and waits until the fetcher has said that everything up to that number was delivered to its
partition. Of a partition that was just taken nothing is said until it has been read through once: an earlier
life of this process may have sent to it. To wait until the mailbox is empty would not do: an ask would wait
for what arrives later.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import final

import trio
from attrs import define, field

from rolebook.actors import ActorDefinition, Stopping

from ..contract import (
    Elsewhere,
    Fence,
    Message,
    NotOwner,
    Replay,
    Replayed,
    Settled,
    StoppedKey,
    partition_of_key,
)
from ..system import (
    Attach,
    Delivered,
    Detach,
    Drained,
    HandlerSignal,
    LocalAsk,
    Owned,
    Page,
    Resume,
    Withdraw,
)
from ._actor_statistics import ActorStatistics
from ._context import SLICE, HandlerContext
from ._line_states import HELD
from ._resident import BROKEN, Resident
from ._residents import Residents
from ._turn_ledger import TurnLedger

_log = logging.getLogger("rolebook.handler")


@final
@define(eq=False)
class ActorHandler:
    """Runs the actors of one kind whose partitions this process owns."""

    definition: ActorDefinition
    context: HandlerContext
    register: Callable[[str, trio.MemorySendChannel[HandlerSignal] | None], None]
    replay: Replay
    recovered: int = 0
    _asks: dict[int, deque[LocalAsk]] = field(factory=dict[int, deque[LocalAsk]])
    _delivered: dict[int, int] = field(factory=dict[int, int])
    _leaving: dict[int, set[Resident]] = field(factory=dict[int, set[Resident]])
    _knows_owner: bool = False
    _next_check: float = 0.0
    _next_sweep: float = float("inf")
    _residents: Residents = field(init=False)
    _ledger: TurnLedger = field(init=False)
    _send: trio.MemorySendChannel[HandlerSignal] = field(init=False)
    _inbox: trio.MemoryReceiveChannel[HandlerSignal] = field(init=False)

    def __attrs_post_init__(self) -> None:
        context = self.context
        # Unbounded, because what comes in is bounded by the credit given to the fetcher.
        self._send, self._inbox = trio.open_memory_channel[HandlerSignal](float("inf"))
        self._residents = Residents(context.store.partitions)
        self._ledger = TurnLedger(self.definition, context, self._residents, self._send)
        self.replay.begin_life()

    def statistics(self) -> ActorStatistics:
        """Return what it holds and has done."""
        halted = self._residents.halted()
        return ActorStatistics(
            residents=len(self._residents),
            blocked=sum(resident.is_blocked for resident in halted),
            parked=sum(resident.is_parked for resident in halted),
            broken=sum(resident.is_broken for resident in halted),
            turns=self._ledger.count,
            recovered=self.recovered,
            hits=self._residents.hits,
            evictions=self._residents.evictions,
        )

    def broken(self) -> list[StoppedKey]:
        """Return the actors whose journal cannot be replayed."""
        return [
            StoppedKey.broken(self.definition.name, resident.key, resident.problem)
            for resident in self._residents.halted()
            if resident.problem is not None
        ]

    async def run(
        self, *, stopping: Stopping, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Handle messages until asked to stop; then settle what has begun, and give the rest back.

        Once the runtime ends it takes no more messages, but answers those who ask until it is asked to stop
        in its turn: turns of queues and children of the app that end before it may need that to end.
        """
        name, ending = self.definition.name, self.context.ending
        self.register(name, self._send)
        self.context.fetcher.send_nowait(Attach(name, self._send, *self.context.room))
        task_status.started()
        try:
            while not (stopping.is_set() or ending.is_announced):
                with stopping.interrupts(), ending.announced.interrupts():
                    await self._round()
            self._turn_away_held()
            while not stopping.is_set():
                with stopping.interrupts():
                    await self._work()
                    self._take_in(await self._inbox.receive())
            # First nobody is let in, then what has begun is settled: the other way round an ask could come in
            # between, and would be answered by nobody.
            self.register(name, None)
            with trio.move_on_at(ending.settle_until):
                await self._drain()
        finally:
            self.register(name, None)
            self._turn_away()
            self._inbox.close()
            self.context.fetcher.send_nowait(Detach(name, self._send))

    async def _round(self) -> None:
        signal: HandlerSignal | None = None
        check = self._next_check if self._residents.stopped else float("inf")
        with trio.move_on_at(min(self._residents.next_due, check, self._next_sweep)):
            signal = await self._inbox.receive()
        if signal is None and trio.current_time() >= check:
            await self._check_stopped()
        # From here to the next await nothing can be cancelled half-way.
        if signal is not None:
            self._take_in(signal)
        for resident in self._residents.due():
            self._ledger.release(resident)
        await self._work()

    async def _check_stopped(self) -> None:
        """Look whether stopped keys were resumed: the doorbell that says so may be lost."""
        stopped = await self.context.store.stopped([self.definition.name])
        # What is not marked in the mailbox was resumed, unless its mark is still on the way there.
        for resident in self._residents.resumable([each.key for each in stopped]):
            if resident.key not in self._ledger.marking:
                self._resume(resident)
        self._next_check = trio.current_time() + self.context.settings.poll_interval

    def look_for_resumed(self) -> None:
        """Look soon whether stopped keys were resumed."""
        with suppress(trio.BrokenResourceError):
            self._send.send_nowait(Resume())

    def _resume(self, resident: Resident) -> None:
        _log.info("actor %s/%s is resumed", self.definition.name, resident.key)
        if resident.is_broken:
            self._ledger.reopen(resident)
        else:
            self._ledger.release(resident)

    async def _work(self) -> None:
        """Compute what can be computed, loading what is cold, until only the inbox can bring more."""
        settings = self.context.settings
        slice_end = trio.current_time() + SLICE
        while True:
            if (signal := self._next_signal()) is not None:
                self._take_in(signal)
            elif self._ledger.paused:
                await self._ledger.out.make_way()
                self._ledger.resume(asked_only=self._asks_only)
            elif not await self._load_cold():
                break
            if len(self._ledger.out.units) >= settings.batch // 2 or trio.current_time() > slice_end:
                await self._ledger.out.make_way()
                slice_end = trio.current_time() + SLICE
        self._ledger.out.hand_over()
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

    @property
    def _asks_only(self) -> bool:
        """Whether no message begins any more; asks that would have to wait for one go by the mailbox."""
        return self.context.ending.is_announced

    def _turn_away_held(self) -> None:
        for partition in list(self._asks):
            for ask in self._asks.pop(partition):
                ask.promise.fail(NotOwner("the runtime ends, and reads no mailbox any more"))

    async def _drain(self) -> None:
        """Give everything back, each partition as soon as what has begun of it is settled."""
        self._ledger.out.hand_over()
        self.context.fetcher.send_nowait(Withdraw(self.definition.name, self._send))
        self._own({})
        while self._leaving:
            signal = await self._inbox.receive()
            if isinstance(signal, Settled):
                self._settle(signal)
                self._ledger.out.hand_over()
            elif isinstance(signal, LocalAsk):
                self._take_ask(signal)

    def _turn_away(self) -> None:
        """Tell those who asked, and whose turn has not begun, to take another way."""
        asks = [ask for held in self._asks.values() for ask in held]
        for resident in self._residents:
            asks += [work for work in resident.line.everything() if isinstance(work, LocalAsk)]
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
        match signal:
            case Page() | Delivered() | Resume() if self._asks_only:
                pass  # what is dropped here is read by whoever owns it next
            case Page():
                self._take_page(signal)
            case Settled():
                self._settle(signal)
            case LocalAsk():
                self._take_ask(signal)
            case Resume():
                self._next_check = 0.0
            case Owned(fences):
                self._own(fences)
            case Delivered(numbers):
                self._delivered.update(numbers)
                self._take_held_asks(numbers.keys() & self._asks.keys())

    def _settle(self, settled: Settled) -> None:
        self._ledger.settle(settled)
        if self._leaving:
            self._say_what_is_drained()

    def _own(self, fences: Mapping[int, Fence]) -> None:
        """Take note of what is owned, and give back what is not any more."""
        gone = self._ledger.out.fences.keys() - fences.keys()
        self._ledger.out.fences, self._knows_owner = fences, True
        if gone:
            for partition in gone:
                self._delivered.pop(partition, None)
            self._leaving |= self._ledger.give_back(gone)
            self._ledger.out.hand_over()
            self._say_what_is_drained()
        self._take_held_asks(list(self._asks))

    def _say_what_is_drained(self) -> None:
        drained: list[int] = []
        for partition, busy in self._leaving.items():
            for resident in [each for each in busy if not each.line.uncommitted]:
                busy.discard(resident)
                self._ledger.residents.forget(resident)
            if not busy:
                drained.append(partition)
        for partition in drained:
            del self._leaving[partition]
        if drained:
            self.context.fetcher.send_nowait(Drained(self.definition.name, self._send, drained))

    def _take_page(self, page: Page) -> None:
        for message in page.messages:
            self._take_message(message, page)
        if page.last and page.key is not None:
            self._end_reading(page.key, page.number)

    def _take_held_asks(self, partitions: Iterable[int]) -> None:
        """Take those that have to wait no longer; among the asks of a partition none overtakes another."""
        for partition in partitions:
            held = self._asks.pop(partition)
            while held and self._is_due(partition, held[0]):
                self._take_ask(held.popleft())
            if held:
                self._asks[partition] = held

    def _hold_back(self, ask: LocalAsk) -> None:
        partition = partition_of_key(ask.key, self.context.store.partitions)
        self._asks.setdefault(partition, deque()).append(ask)

    def _is_due(self, partition: int, ask: LocalAsk) -> bool:
        """Whether an ask has to wait no longer; if it is no affair of this process's, it has not to wait."""
        if not self._knows_owner:
            return False
        return partition not in self._ledger.out.fences or ask.after <= self._delivered.get(partition, -1)

    def _take_message(self, message: Message, page: Page) -> None:
        if message.key is None:
            self._ledger.bury_keyless(message)
            return
        resident = self._residents.need(message.key)
        if resident.phase is BROKEN:
            self._ledger.refuse(resident, message)
        else:
            self._ledger.take_message(resident, message, page)

    def _end_reading(self, key: str, number: int) -> None:
        resident = self._residents.find(key)
        if resident is not None:
            for ask in self._ledger.lines.reading_ended(resident.line, number):
                self._take_ask(ask)

    def _take_ask(self, ask: LocalAsk) -> None:
        partition = partition_of_key(ask.key, self.context.store.partitions)
        if ask.promise.given_up:
            return
        if ask.after > self._delivered.get(partition, -1) and not self._is_due(partition, ask):
            if self._asks_only:
                ask.promise.fail(NotOwner("the runtime ends, and reads no mailbox any more"))
            else:
                self._hold_back(ask)
        elif partition not in self._ledger.out.fences:
            # Never computed without a fence: its commit would not be refused if another process owns it.
            ask.promise.fail(NotOwner("this process does not own the partition"))
        else:
            resident = self._residents.need(ask.key)
            if resident.is_broken:
                ask.promise.fail(self._ledger.unavailable(resident))
                return
            if resident.line.state is HELD and self._asks_only:
                ask.promise.fail(NotOwner("the runtime ends, and retries nothing any more"))
                return
            if resident.line.state is HELD or resident.line.asks:
                resident.line.forget_given_up()
            self._ledger.take_ask(resident, ask)

    # ---- loading ----

    async def _load_cold(self) -> bool:
        """Load cold actors that have work and nothing uncommitted, by one query; say whether there were any.

        One with a long journal is loaded over several rounds, and keeps nobody else waiting.
        """
        wanted = self._residents.loadable()
        if self._asks_only:
            wanted = [resident for resident in wanted if resident.line.is_asked]
        if not wanted:
            return False
        self._ledger.out.hand_over()
        # No signal is taken in while this waits, so nobody changes those that are being loaded. Cancelled,
        # it has changed nothing: they stay in `cold`, and go with the handler.
        found = await self._replay([resident.key for resident in wanted])
        for resident in wanted:
            replayed = found.get(resident.key)
            if replayed is not None:
                self._residents.cold.pop(resident.key, None)
                self._loaded(resident, replayed)
        return True

    async def _replay(self, keys: Sequence[str]) -> Mapping[str, Replayed]:
        nonce = next(fence.nonce for fence in self._ledger.out.fences.values())
        self.replay.stand_on(nonce)
        try:
            return await self.replay.go_on(keys)
        except Elsewhere as error:
            self.context.standing.lose(nonce, str(error))
            await trio.sleep_forever()  # until the session ends, and this with it

    def _loaded(self, resident: Resident, replayed: Replayed) -> None:
        self.recovered += 1
        if replayed.problem is not None:
            self._ledger.break_down(resident, replayed.problem)
            return
        resident.load(replayed.state, replayed.seq, replayed.snapshot)
        self._ledger.go_on(resident)
