"""The handler of one queue: runs an async function for each message, several at a time.

User code runs with no transaction open, unless it asks for one with
`turn.connection()`; then its SQL, its sends and the acknowledgement commit on
that connection together. Messages of one key are handled one at a time, in order.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import final

import trio
from attrs import define, field

from rolebook.actors import HandlerDefinition, ProcessEnded, RolebookError, Stopping, failure_of, judge

from ..contract import CommitUnit, Lineage, Message, RetryInPlace, Settled, Verdict, partition_of_key, size_of
from ..system import (
    Attach,
    Credit,
    Delivered,
    Detach,
    Drained,
    HandlerSignal,
    LocalAsk,
    Owned,
    Page,
    Reread,
    Resume,
    Withdraw,
)
from ._context import SLICE, HandlerContext
from ._failing import after_failure, refuse, unit_after, wait_of
from ._in_work import InWork
from ._key_lines import KeyLines, Line
from ._queue_turn import run_turn
from ._shortage import Shortage

_log = logging.getLogger("rolebook.handler")


@final
@define(eq=False)
class QueueHandler:
    """Runs the handler of one queue for the partitions this process owns."""

    definition: HandlerDefinition
    context: HandlerContext
    shortage: Shortage = field(init=False)
    _ready: deque[tuple[Message, Lineage | None]] = field(factory=deque[tuple[Message, Lineage | None]])
    _by_key: dict[str, Line] = field(factory=dict[str, Line])
    _owned: AbstractSet[int] = frozenset()
    _in_work: InWork = field(factory=InWork)
    _closing: bool = False
    _parked: set[str] = field(factory=set[str])
    _marking: set[int] = field(factory=set[int])
    _next_check: float = 0.0
    _lot: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    _verdicts: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    _lines: KeyLines = field(init=False)
    _tasks: trio.Nursery = field(init=False)
    _send: trio.MemorySendChannel[HandlerSignal] = field(init=False)
    _inbox: trio.MemoryReceiveChannel[HandlerSignal] = field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.context.settings
        self.shortage = Shortage(self.definition.queue, settings.backoff, self.context.random)
        self._lines = KeyLines(settings.blocked_capacity, settings.mailbox_capacity, settings.mailbox_bytes)
        # Unbounded, because what comes in is bounded by the credit given to the fetcher.
        self._send, self._inbox = trio.open_memory_channel[HandlerSignal](float("inf"))

    async def run(
        self, *, stopping: Stopping, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Handle messages until asked to stop, or the runtime ends; finish what runs, give the rest back."""
        queue, ending = self.definition.queue, self.context.ending
        self.context.fetcher.send_nowait(Attach(queue, self._send, *self.context.room))
        task_status.started()
        try:
            async with trio.open_nursery() as self._tasks:
                for _ in range(self.definition.concurrency):
                    self._tasks.start_soon(self._worker)
                while not (stopping.is_set() or ending.is_announced):
                    with stopping.interrupts(), ending.announced.interrupts():
                        await self._hear()
                with trio.move_on_at(ending.work_until):
                    await self._drain()
                self._tasks.cancel_scope.cancel()
            with trio.move_on_at(ending.settle_until):
                await self._wait_drained()  # what had ended when the rest was cancelled
        finally:
            self._inbox.close()
            self.context.fetcher.send_nowait(Detach(queue, self._send))
        await stopping.wait()

    async def _hear(self) -> None:
        """Take in the next signal; look now and then whether parked keys were resumed elsewhere."""
        with trio.move_on_at(self._next_check if self._parked else float("inf")) as scope:
            self._take_in(await self._inbox.receive())
        if not scope.cancelled_caught:
            return
        still = {each.key for each in await self.context.store.stopped([self.definition.queue])}
        for key in self._parked - still:
            self._resume(key)
        self._next_check = trio.current_time() + self.context.settings.poll_interval

    def look_for_resumed(self) -> None:
        """Look soon whether parked keys were resumed."""
        with suppress(trio.BrokenResourceError):
            self._send.send_nowait(Resume())

    def _resume(self, key: str) -> None:
        line = self._by_key.get(key)
        first = None if line is None else line.first
        if line is None or not isinstance(first, Message):
            self._parked.discard(key)
        elif first.id not in self._marking:  # else what says that it is parked is still on its way there
            _log.info("key %s of queue %s is resumed", key, self.definition.queue)
            self._parked.discard(key)
            self._release(line)

    async def _drain(self) -> None:
        """Give everything back, each partition once what has begun of it is settled; nothing begins."""
        self._closing = True
        self.context.fetcher.send_nowait(Withdraw(self.definition.queue, self._send))
        self._own(frozenset())
        self._lot.unpark_all()
        await self._wait_drained()

    async def _wait_drained(self) -> None:
        while self._in_work.leaving:
            self._take_in(await self._inbox.receive())

    # ---- owning ----

    def _own(self, owned: AbstractSet[int]) -> None:
        """Take note of what is owned, and give back what is not any more."""
        gone = self._owned - owned
        self._owned = owned
        self.shortage.look_up()
        if not gone:
            return
        ready, self._ready = self._ready, deque[tuple[Message, Lineage | None]]()
        for message, lineage in ready:
            if message.partition not in gone:
                self._ready.append((message, lineage))
                continue
            self._lines.done_with(message)
            if message.key is not None:
                self._lines.ended(self._by_key[message.key])
        partitions = self.context.store.partitions
        for line in [line for key, line in self._by_key.items() if partition_of_key(key, partitions) in gone]:
            self._lines.leave(line)
            self._parked.discard(line.key)
            self._forget_if_empty(line)
        self._give_room()
        self._in_work.leave(gone)
        self._say_what_is_drained()

    def _say_what_is_drained(self) -> None:
        if drained := self._in_work.take_drained():
            self.context.fetcher.send_nowait(Drained(self.definition.queue, self._send, drained))

    def _done(self, partition: int) -> None:
        self._in_work.done(partition)
        if self._in_work.leaving:
            self._say_what_is_drained()

    # ---- taking in ----

    def _take_in(self, signal: HandlerSignal) -> None:
        match signal:
            case Page():
                if not self._closing:
                    self._take_page(signal)
            case Settled():
                self._settle(signal)
            case Resume():
                self._next_check = 0.0
            case LocalAsk():
                signal.promise.fail(RolebookError(f"{signal!r} was asked of a queue"))
            case Owned(fences):
                if not self._closing:
                    self._own(fences.keys())
            case Delivered():
                pass

    def _take_page(self, page: Page) -> None:
        for message in page.messages:
            if message.key is None:
                self._make_ready(message)
                continue
            line = self._by_key.get(message.key)
            if line is None:
                line = self._by_key[message.key] = Line(message.key)
            if self._lines.arrived(line, message, page):
                self._make_ready(message)
            else:
                self._forget_if_empty(line)  # a reading that was replaced brings keys nobody waits for
        if page.last and page.key is not None and (line := self._by_key.get(page.key)) is not None:
            self._lines.reading_ended(line, page.number)
            self._forget_if_empty(line)
        self._give_room()

    def _make_ready(self, message: Message) -> None:
        """Let a worker begin with a message, or hold it if its time has not come."""
        if message.wait is not None:
            self._hold(message, message.wait)
            return
        # As of now, not of when a worker is free: if something before it falls from now on, it falls too.
        self._ready.append((message, None if message.key is None else self._by_key[message.key].lineage))
        self._lot.unpark()

    def _hold(self, message: Message, wait: float) -> None:
        """Let a message wait for its retry, at the head of its key if it has one, and no worker with it."""
        message.wait = wait
        line = None if message.key is None else self._by_key[message.key]
        if line is not None and not self._lines.hold(line, message):
            self._go_on(line)
        elif line is not None and wait == float("inf"):
            self._parked.add(line.key)
        else:
            self._tasks.start_soon(self._wake, line, message, wait)

    async def _wake(self, line: Line | None, message: Message, wait: float) -> None:
        if line is None and message.trial is not None:
            message.trial.hold(message.id)
        await trio.sleep(wait)
        if line is None:
            message.wait = None
            self._make_ready(message) if message.partition in self._owned else self._lines.done_with(message)
            self._give_room()
        elif line.first is message:  # else a verdict has let it go meanwhile
            self._release(line)

    def _release(self, line: Line) -> None:
        self._lines.release(line)
        self._go_on(line)

    def _go_on(self, line: Line) -> None:
        """Let the next of a key begin; read the key again if there is none and some were dropped."""
        following = self._lines.begin_next(line)
        if following is not None:
            assert isinstance(following, Message)  # a queue is never asked
            self._make_ready(following)
        elif (number := self._lines.reread(line)) is not None:
            queue, partitions = self.definition.queue, self.context.store.partitions
            reread = Reread(queue, line.key, partition_of_key(line.key, partitions), number)
            self.context.fetcher.send_nowait(reread)
        else:
            self._forget_if_empty(line)

    def _forget_if_empty(self, line: Line) -> None:
        if line.is_empty:
            self._by_key.pop(line.key, None)

    def _give_room(self) -> None:
        if self._lines.freed:
            self.context.fetcher.send_nowait(Credit(self.definition.queue, *self._lines.take_freed()))

    def _settle(self, settled: Settled) -> None:
        for unit in settled.units:
            for part in unit.parts:
                if isinstance(part, RetryInPlace):
                    self._marking.discard(part.place.id)
            message: Message | None = unit.subject
            if message is not None:
                line = None if message.key is None else self._by_key[message.key]
                if settled.verdict is Verdict.COMMITTED:
                    self._lines.done_with(message)
                else:
                    self._fell(line, message, settled)
                if line is not None:
                    self._lines.settled(line)
                    self._go_on(line)
            assert unit.fence is not None
            self._done(unit.fence.partition)
        self._verdicts.unpark_all()
        self._give_room()

    def _fell(self, line: Line | None, message: Message, settled: Settled) -> None:
        """A message's turn was not committed: it begins again, unless it is somebody else's by now."""
        if line is not None:
            self._lines.fell(line)
        if message.partition not in self._owned or settled.verdict not in {Verdict.VOID, Verdict.FAILED}:
            self._lines.done_with(message)
            return
        if settled.error is not None and settled.verdict is Verdict.FAILED:
            refuse(message, settled.error, self.context.settings.backoff, self.context.random)
        if line is not None:
            self._lines.begin_again(line, message)
        else:
            self._make_ready(message)

    # ---- working ----

    async def _worker(self) -> None:
        me = trio.lowlevel.current_task()
        self.context.workers.add(me)
        try:
            await self._work(me)
        finally:
            self.context.workers.discard(me)
            self.context.hand.messages.pop(me, None)

    async def _work(self, me: trio.lowlevel.Task) -> None:
        slice_end = trio.current_time() + SLICE
        while not (self._closing or self.context.ending.is_announced):
            if not self._ready:
                await self._lot.park()
                slice_end = trio.current_time() + SLICE
                continue
            message, lineage = self._ready.popleft()
            partition = message.partition
            self._in_work.begun(partition)
            self.context.hand.messages[me] = message
            try:
                line = None if message.key is None else self._by_key[message.key]
                wait = await self._handle(message, lineage)
            except BaseException:
                self._done(partition)
                raise
            if wait is not None and partition in self._owned:
                self._hold(message, wait)
            else:
                if wait is not None:  # its key waits for its retry where it goes
                    self._lines.done_with(message)
                if line is not None:
                    # The next may begin although this one is not committed: commits keep the order.
                    self._lines.ended(line)
                    self._go_on(line)
            self._done(partition)
            self._give_room()
            if trio.current_time() > slice_end:
                await trio.lowlevel.checkpoint()
                await self.context.outbox.wait_room()
                slice_end = trio.current_time() + SLICE
        self._send.send_nowait(Page())  # the drain may be waiting for this

    async def _handle(self, message: Message, lineage: Lineage | None) -> float | None:
        """Run one turn; return the seconds until its retry if its key waits for that."""
        if message.trial is not None and message.trial.is_lost:
            return self._failed(message, ProcessEnded(), lineage)
        if message.refusal is not None:  # what the database says counts as what the turn raised
            error, message.refusal = message.refusal, None
            return self._failed(message, error, lineage)
        context, tries, message.refusals = self.context, 0, 0
        while True:
            unit = CommitUnit(self._send, message.fence, message, lineage=lineage, subject=message)
            try:
                verdict = await run_turn(self.definition, context, message, unit, self._come_next)
            except BaseException as raised:  # noqa: BLE001 - user code may raise anything; it is the outcome
                error = failure_of(raised)
                if not context.store.is_shortage(error):
                    return self._failed(message, error, lineage)
                await self.shortage.outlast(error, tries := tries + 1)
                if message.partition not in self._owned:
                    return 0.0  # it is tried where it goes
            else:
                if self.shortage.is_on:
                    self.shortage.is_over()
                self._hand_over(unit, verdict)
                return None

    async def _come_next(self, message: Message) -> None:
        """Wait for the verdict on all that came before in its key, and on the mark of its own failure."""
        line = None if message.key is None else self._by_key[message.key]
        while (line is not None and line.uncommitted) or message.id in self._marking:
            await self._verdicts.park()

    def _failed(self, message: Message, error: Exception, lineage: Lineage | None) -> float | None:
        """Note the outcome of a turn that raised; return the delay if it is to be tried again in place."""
        definition = self.definition
        outcome = judge(error, message.attempts + 1, definition.retry, self.context.random)
        # Without a key there is nothing that could wait behind it.
        part = after_failure(message, outcome, "skip" if message.key is None else definition.on_failure)
        self._hand_over(unit_after(part, message, self._send, lineage))
        if not isinstance(part, RetryInPlace):
            return None
        self._marking.add(message.id)
        message.attempts += 1
        return wait_of(part)

    def _hand_over(self, unit: CommitUnit, verdict: Verdict | None = None) -> None:
        """Give a unit to the writer; or take note of the verdict, if it is committed already."""
        assert unit.fence is not None
        self._in_work.begun(unit.fence.partition)
        message: Message | None = unit.subject
        if message is not None and message.key is not None:
            self._lines.noted(self._by_key[message.key])
        if verdict is None:
            self.context.outbox.send_nowait((unit,), size_of(unit) if unit.sends or unit.parts else 0)
        else:
            # It goes the way of every verdict, behind those that are in the inbox already: settled here, it
            # would overtake the verdict on an earlier message of its key.
            self._send.send_nowait(Settled(verdict, (unit,)))
