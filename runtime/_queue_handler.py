"""The handler of one queue: runs an async function for each message, several at a time.

User code runs with no transaction open, unless it asks for one with
`turn.connection()`; then its SQL, its sends and the acknowledgement commit on
that connection together. Messages of one key are handled one at a time, in order.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import AsyncExitStack, suppress

import trio
from attrs import define, field, frozen

from rolebook.actors import (
    Dead,
    EffectError,
    HandlerDefinition,
    Refused,
    RolebookError,
    Stopping,
    judge,
)

from ._failing import cause, dead_part, retry_part, text_of
from ._finished import Finished, Settled, Verdict
from ._headers import parse, trail
from ._lines import Lines
from ._queue_turn import QueueTurn, finish
from ._rows import Message, Rare
from ._sending import Sender
from ._signals import Attach, Credit, Detach, HandlerSignal, LocalAsk, Look, Page, Resume
from ._store import TurnConflict, TurnTransaction
from ._tools import Tools

_log = logging.getLogger("rolebook.handler")

SLICE = 0.005
"""Seconds of work without a wait after which other tasks get their turn."""


@frozen
class QueueStatistics:
    """What a queue's handler holds and has done.

    Attributes:
        ready: Messages in memory that have not begun.
        running: Messages in work.
        handled: Messages whose handler has returned or raised.
    """

    ready: int
    running: int
    handled: int


@define(eq=False)
class QueueHandler:
    """Runs the handler of one queue for the partitions this process owns."""

    definition: HandlerDefinition
    tools: Tools
    handled: int = 0
    _ready: deque[Message] = field(factory=deque[Message])
    _lines: Lines = field(init=False)
    _running: int = 0
    _uncommitted: int = 0
    _closing: bool = False
    _parked: dict[str, Message] = field(factory=dict[str, Message])
    _marking: set[int] = field(factory=set[int])
    _next_check: float = 0.0
    _lot: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    _sender: Sender = field(init=False)
    _tasks: trio.Nursery = field(init=False)
    _send: trio.MemorySendChannel[HandlerSignal] = field(init=False)
    _inbox: trio.MemoryReceiveChannel[HandlerSignal] = field(init=False)

    def __attrs_post_init__(self) -> None:
        tools = self.tools
        self._sender = Sender(tools.app, tools.store.partitions, tools.app.limits.payload)
        self._lines = Lines(tools.settings)
        # Unbounded, because what comes in is bounded by the credit given to the fetcher.
        self._send, self._inbox = trio.open_memory_channel[HandlerSignal](float("inf"))

    def statistics(self) -> QueueStatistics:
        """Return what it holds and has done."""
        return QueueStatistics(len(self._ready) + len(self._lines), self._running, self.handled)

    async def run(
        self, *, stopping: Stopping, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Handle messages until asked to stop; then finish what runs, and give the rest back."""
        queue = self.definition.queue
        self.tools.fetcher.send_nowait(Attach(queue, self._send, self.tools.settings.mailbox_capacity))
        task_status.started()
        try:
            async with trio.open_nursery() as self._tasks:
                for _ in range(self.definition.concurrency):
                    self._tasks.start_soon(self._worker)
                while not stopping.is_set():
                    with stopping.interrupts():
                        await self._hear()
                await self._drain()
                self._tasks.cancel_scope.cancel()
        finally:
            self._inbox.close()
            self.tools.fetcher.send_nowait(Detach(queue, self._send))

    async def _hear(self) -> None:
        """Take in the next signal; look now and then whether parked keys were resumed elsewhere."""
        with trio.move_on_at(self._next_check if self._parked else float("inf")) as scope:
            self._take_in(await self._inbox.receive())
        if not scope.cancelled_caught:
            return
        still = {each.key for each in await self.tools.store.parked([self.definition.queue])}
        for key, message in list(self._parked.items()):
            if key not in still and message.id not in self._marking:
                self._resume(key)
        self._next_check = trio.current_time() + self.tools.settings.poll_interval

    def look_for_resumed(self) -> None:
        """Look soon whether parked keys were resumed."""
        with suppress(trio.BrokenResourceError):
            self._send.send_nowait(Resume())

    def _resume(self, key: str) -> None:
        message = self._parked.pop(key, None)
        if message is not None and not self._closing:
            _log.info("key %s of queue %s is resumed", key, self.definition.queue)
            message.wait = None
            self._make_ready(message)

    async def _drain(self) -> None:
        """Let the workers finish, and wait for the verdicts on what they did."""
        self._closing = True
        self._ready.clear()
        self._lines.clear()
        self._lot.unpark_all()
        while self._running or self._uncommitted:
            self._take_in(await self._inbox.receive())

    # ---- taking in ----

    def _take_in(self, signal: HandlerSignal) -> None:
        if isinstance(signal, Page):
            if not self._closing:
                self._take_page(signal)
        elif isinstance(signal, Settled):
            self._settle(signal)
        elif isinstance(signal, Resume):
            self._next_check = 0.0
        elif isinstance(signal, LocalAsk):
            signal.promise.fail(RolebookError(f"{signal!r} was asked of a queue"))

    def _take_page(self, page: Page) -> None:
        for message in page.messages:
            if self._lines.take(message, page):
                self._make_ready(message)
        if page.last and page.key is not None:
            self._lines.end_reading(page.key, page.number)
        self._give_room()

    def _make_ready(self, message: Message) -> None:
        if message.wait is not None:
            self._hold(message, message.wait)
            return
        self._ready.append(message)
        self._lot.unpark()

    def _hold(self, message: Message, wait: float) -> None:
        """Let a message wait for its retry at the head of its key, and no worker with it."""
        self._lines.hold(message)
        if wait == float("inf") and message.key is not None:
            self._parked[message.key] = message
            return
        self._tasks.start_soon(self._wake, message, wait)

    async def _wake(self, message: Message, wait: float) -> None:
        await trio.sleep(wait)
        message.wait = None
        if not self._closing:
            self._make_ready(message)

    def _give_room(self) -> None:
        if self._lines.freed:
            self.tools.fetcher.send_nowait(Credit(self.definition.queue, self._lines.freed))
            self._lines.freed = 0

    def _settle(self, settled: Settled) -> None:
        for finished in settled.turns:
            self._uncommitted -= 1
            self._marking.difference_update(
                part.row["id"] for part in finished.rare if part.kind == "retries"
            )
            message: Message | None = finished.subject
            if message is None:
                continue
            self._lines.settled(message)
            if settled.verdict is Verdict.FAILED and settled.error is not None:
                wait = self._failed(message, settled.error)
                if wait is not None and self._lines.put_back(message):
                    self._hold(message, wait)
            elif settled.verdict is Verdict.VOID:
                if self._lines.put_back(message):
                    self._make_ready(message)
            else:
                self._lines.done_with(message)
                self._read_again(message)
        self._give_room()

    # ---- working ----

    async def _worker(self) -> None:
        slice_end = trio.current_time() + SLICE
        while not self._closing:
            if not self._ready:
                await self._lot.park()
                slice_end = trio.current_time() + SLICE
                continue
            message = self._ready.popleft()
            self._running += 1
            try:
                wait = await self._handle(message)
            finally:
                self._running -= 1
                self.handled += 1
            if wait is None:
                self._next_of(message)
            elif not self._closing:
                self._hold(message, wait)
            self._give_room()
            if trio.current_time() > slice_end:
                await trio.lowlevel.checkpoint()
                slice_end = trio.current_time() + SLICE
        if not self._running:
            self._send.send_nowait(Page())  # the drain may be waiting for this

    def _next_of(self, message: Message) -> None:
        """Let the next message of a key begin."""
        following = self._lines.next_of(message)
        if following is not None:
            self._make_ready(following)
        else:
            self._read_again(message)

    def _read_again(self, message: Message) -> None:
        if (reread := self._lines.rereading(message)) is not None:
            self.tools.fetcher.send_nowait(reread)

    async def _handle(self, message: Message) -> float | None:
        """Run one turn; return the seconds until its retry if its key waits for that."""
        try:
            finished = await self._turn(message)
        except Exception as error:  # noqa: BLE001 - user code may raise anything; it becomes the outcome
            return self._failed(message, error)
        if finished is not None:
            self._hand_over(finished)
        return None

    async def _turn(self, message: Message) -> Finished | None:
        """Run the handler once; None if it was committed on a connection of its own."""
        definition = self.definition
        command = self.tools.app.codec.decode_command(message.type, message.version, message.payload)
        if not isinstance(command, definition.commands):
            taken = ", ".join(each.__qualname__ for each in definition.commands)
            given = type(command).__qualname__
            raise EffectError(f"the handler of queue {definition.queue!r} takes {taken}, not {given}")
        if not definition.takes_turn:
            await finish(definition.function(command), self.tools.app.limits.turn_seconds)
            return Finished(self._send, message.fence, message, subject=message)
        headers = parse(message.headers)
        turn = QueueTurn(
            message.queue,
            message.key or "",
            str(message.id),
            self.tools.clock.now(),
            message.attempts + 1,
            headers,
        )
        async with AsyncExitStack() as stack:
            turn.begin(self.tools, stack)
            try:
                await finish(definition.function(command, turn), self.tools.app.limits.turn_seconds)
            finally:
                turn.end()
            sends, later = self._sender.rows(turn.effects, trail(str(message.id), headers))
            finished = Finished(self._send, message.fence, message, (), sends, later, subject=message)
            if turn.lease is None:
                return finished
            verdict = await self._commit_own(turn.lease, finished)
        self._uncommitted += 1
        self._lines.handed_over(message)
        self._send.send_nowait(Settled(verdict, (finished,)))
        return None

    async def _commit_own(self, lease: TurnTransaction, finished: Finished) -> Verdict:
        try:
            await lease.commit(finished)
        except TurnConflict as conflict:
            _log.warning("%s was handled elsewhere: %s", _name(finished.subject), conflict)
            return Verdict.LOST
        self.tools.totals.commits += 1
        self.tools.totals.turns += 1
        self.tools.fetcher.send_nowait(Look())
        return Verdict.COMMITTED

    def _failed(self, message: Message, error: Exception) -> float | None:
        """Note the outcome of a turn that raised; return the delay if it is to be tried again in place."""
        definition = self.definition
        outcome = judge(error, message.attempts + 1, definition.retry, self.tools.random)
        if isinstance(outcome, Refused):
            _log.info("%s refused: %s", _name(message), error)
            self._hand_over(Finished(self._send, message.fence, message, subject=message))
            return None
        if isinstance(outcome, Dead):
            _log.error("%s is a dead letter: %s", _name(message), text_of(error), exc_info=cause(error))
            self._note(message, dead_part(message, error))
            return None
        blocks = message.key is not None and definition.on_failure != "skip"
        delay = None if blocks and definition.on_failure == "park" else outcome.delay_seconds
        until = "parked until it is resumed" if delay is None else f"retry in {delay:.1f} s"
        _log.warning("%s failed, %s: %s", _name(message), until, text_of(error))
        if not blocks:
            self._note(message, retry_part("later", message, error, outcome.delay_seconds))
            return None
        self._note(message, retry_part("retries", message, error, delay), keeps=True)
        self._marking.add(message.id)
        message.attempts += 1
        return float("inf") if delay is None else delay

    def _note(self, message: Message, part: Rare, *, keeps: bool = False) -> None:
        subject = None if keeps else message
        self._hand_over(Finished(self._send, message.fence, rare=(part,), subject=subject))

    def _hand_over(self, finished: Finished) -> None:
        self._uncommitted += 1
        if finished.subject is not None:
            self._lines.handed_over(finished.subject)
        self.tools.outbox.send_nowait((finished,))


def _name(message: Message) -> str:
    key = "" if message.key is None else f"/{message.key}"
    return f"message {message.id} ({message.type} to {message.queue}{key}, attempt {message.attempts + 1})"
