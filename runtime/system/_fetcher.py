"""The fetcher: owns the persistent session, and through it the partitions.

Its round: hear what the others say, take what partitions are free, read what
became visible in each lane that has room, hand it out. It sleeps when nothing
is left to read, and looks again after `poll_interval` even if nobody rang.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import final

import trio
from attrs import define, field, frozen

from rolebook.actors.supervision import MailboxStatistics

from .._settings import Settings
from ..contract import Cursor, Fence, Fetched, FetchedRow, FetchSession, Lane, Message, Store, merge
from ._clock import StoreClock
from ._coverage import Coverage
from ._send_count import SendCount
from ._signals import Attach, Credit, Delivered, Detach, FetcherSignal, Look, Owned, Page, Reread

_log = logging.getLogger("rolebook.fetcher")

PRIORITIES = (1, 0, -1)
"""Most urgent first: the order in which a queue's lanes are read."""

SHEET = 250
"""Messages in one page to a handler: what it has done of a read can be committed while it does the rest."""

REREAD_ROOM = 50
"""Messages of one key in one page when it is read again."""


@define(eq=False)
class _Mailbox:
    """One queue as the fetcher sees it."""

    queue: str
    inbox: trio.MemorySendChannel[object]
    room: int
    capacity: int
    fences: dict[int, Fence] = field(factory=dict[int, Fence])
    cursors: list[Cursor] = field(factory=list[Cursor])
    coverage: Coverage = field(factory=Coverage)
    peak: int = 0

    @property
    def depth(self) -> int:
        """How many messages its handler holds."""
        return self.capacity - self.room

    def readable(self) -> list[tuple[Cursor, int]]:
        """The cursors worth reading now, each with its room.

        A lane with a backlog keeps the lanes of lower priority waiting. A
        backlog is read in pages of some size: not in crumbs, one for each credit.
        """
        if self.room <= 0:
            return []
        wanted: list[tuple[Cursor, int]] = []
        for cursor in sorted(self.cursors, key=_urgency):
            if cursor.within is not None and self.room < self.capacity // 4:
                return wanted
            wanted.append((cursor, REREAD_ROOM if cursor.lane.key is not None else self.room))
            if cursor.within is not None and cursor.lane.key is None:
                break
        return wanted


def _urgency(cursor: Cursor) -> int:
    return -cursor.lane.priority


@final
@frozen
class FetcherStatistics:
    """What the fetcher holds and has done.

    Attributes:
        owned: How many partitions of each queue this process owns.
        reads: Statements that read the mailbox.
        messages: Messages handed out.
    """

    owned: dict[str, int]
    reads: int
    messages: int


@final
@define(eq=False)
class Fetcher:
    """Reads the mailbox for every handler of the process.

    Attributes:
        owned: Queues of which this process owns every partition.
        count: What this process may have sent.
    """

    store: Store
    settings: Settings
    owner: str
    clock: StoreClock
    inbox: trio.MemoryReceiveChannel[FetcherSignal]
    owned: set[str]
    count: SendCount
    reads: int = 0
    messages: int = 0
    _mailboxes: dict[str, _Mailbox] = field(factory=dict[str, _Mailbox])
    _new: list[str] = field(factory=list[str])
    _leaving: list[Fence] = field(factory=list[Fence])
    _next_take: float = 0.0
    _look: bool = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own and read until cancelled; a database error ends it, and the session with it."""
        self._forget()
        try:
            async with self.store.open_fetch_session(self.owner) as session:
                with trio.fail_after(self.settings.command_deadline):
                    # Before any turn: `turn.now` is the store's time.
                    self.clock.set((await session.read((), ())).server_time)
                task_status.started()
                while True:
                    await self._hear()
                    with trio.fail_after(self.settings.command_deadline):
                        await self._own(session)
                        await self._read(session)
        finally:
            self._forget()

    def statistics(self) -> FetcherStatistics:
        """Return what it holds and has done."""
        owned = {queue: len(mailbox.fences) for queue, mailbox in self._mailboxes.items()}
        return FetcherStatistics(owned, self.reads, self.messages)

    def mailbox(self, queue: str) -> MailboxStatistics:
        """Return how many messages of a queue its handler holds, at most held, and may hold."""
        mailbox = self._mailboxes.get(queue)
        if mailbox is None:
            return MailboxStatistics(0, 0, self.settings.mailbox_capacity)
        return MailboxStatistics(mailbox.depth, mailbox.peak, mailbox.capacity)

    def _forget(self) -> None:
        """Start with nothing: what is in the inbox speaks of a session that has ended."""
        self._mailboxes.clear()
        self._new.clear()
        self._leaving.clear()
        self.owned.clear()
        try:
            while True:
                self.inbox.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            pass

    # ---- hear ----

    async def _hear(self) -> None:
        with trio.move_on_after(self._rest()):
            self._take_in(await self.inbox.receive())
        try:
            while True:
                self._take_in(self.inbox.receive_nowait())
        except trio.WouldBlock:
            pass

    def _rest(self) -> float:
        """How long there is nothing to do unless somebody says so."""
        if self._look or self._new or self._leaving or self._has_backlog():
            return 0.0
        rest = self.settings.poll_interval
        if self._wants_partitions():
            rest = min(rest, max(0.0, self._next_take - trio.current_time()))
        return rest

    def _has_backlog(self) -> bool:
        return any(
            not cursor.caught_up for mailbox in self._mailboxes.values() for cursor, _ in mailbox.readable()
        )

    def _take_in(self, signal: FetcherSignal) -> None:
        if isinstance(signal, Look):
            self._look = True
        elif isinstance(signal, Credit):
            if (mailbox := self._mailboxes.get(signal.queue)) is not None:
                self._look = self._look or mailbox.room <= 0
                mailbox.room += signal.count
        elif isinstance(signal, Attach):
            self._mailboxes[signal.queue] = _Mailbox(signal.queue, signal.inbox, signal.room, signal.room)
            self._new.append(signal.queue)
        elif isinstance(signal, Detach):
            self._drop(signal.queue, signal.inbox)
        else:
            self._reread(signal)

    def _drop(self, queue: str, inbox: trio.MemorySendChannel[object]) -> None:
        mailbox = self._mailboxes.get(queue)
        # The next life of the same handler may have attached already: its mailbox is not the one that goes.
        if mailbox is not None and mailbox.inbox is inbox:
            del self._mailboxes[queue]
            # Given back only now that the handler has settled everything: given back before, another process
            # would handle what is still being committed here, and one of the two commits would be lost.
            self.owned.discard(queue)
            self._leaving.extend(mailbox.fences.values())

    def _reread(self, signal: Reread) -> None:
        mailbox = self._mailboxes.get(signal.queue)
        if mailbox is not None and signal.partition in mailbox.fences:
            partitions = frozenset({signal.partition})
            # An earlier reading of the key that is still under way would hand out its later messages first.
            mailbox.cursors = [cursor for cursor in mailbox.cursors if cursor.lane.key != signal.key]
            mailbox.cursors.extend(
                Cursor(Lane(signal.queue, priority, partitions, signal.key, signal.number))
                for priority in PRIORITIES
            )
            self._look = True

    # ---- own ----

    def _wants_partitions(self) -> bool:
        return any(len(mailbox.fences) < self.store.partitions for mailbox in self._mailboxes.values())

    async def _own(self, session: FetchSession) -> None:
        """Give back what was dropped, then take what is free."""
        if self._leaving:
            # Before taking: a handler that starts again takes its own partitions back, with a new epoch.
            leaving, self._leaving = self._leaving, []
            await session.release(leaving)
        new, self._new = self._new, []
        if new:
            await session.prepare(new)
        elif trio.current_time() < self._next_take or not self._wants_partitions():
            return
        self._next_take = trio.current_time() + self.settings.take_interval
        held = [fence for mailbox in self._mailboxes.values() for fence in mailbox.fences.values()]
        taken = await session.take(list(self._mailboxes), held)
        for queue in {fence.queue for fence in taken}.union(new) & self._mailboxes.keys():
            self._start_reading(self._mailboxes[queue], [fence for fence in taken if fence.queue == queue])

    def _start_reading(self, mailbox: _Mailbox, taken: Sequence[Fence]) -> None:
        mailbox.fences.update((fence.partition, fence) for fence in taken)
        if taken:
            mailbox.coverage.took()
            partitions = frozenset(fence.partition for fence in taken)
            mailbox.cursors.extend(
                Cursor(Lane(mailbox.queue, priority, partitions)) for priority in PRIORITIES
            )
        if len(mailbox.fences) == self.store.partitions:
            self.owned.add(mailbox.queue)
        _log.info("owns %d of %d partitions of %r", len(mailbox.fences), self.store.partitions, mailbox.queue)
        self._hand_out(mailbox, Owned(dict(mailbox.fences)))
        self._look = True

    # ---- read ----

    async def _read(self, session: FetchSession) -> None:
        plan = [entry for mailbox in self._mailboxes.values() for entry in mailbox.readable()]
        if not plan:
            self._look = False
            return
        self._look = False
        # As of before the read: it sees what was sent by then.
        sent = {queue: self.count.of(queue) for queue in self._mailboxes}
        look = await session.read([cursor for cursor, _ in plan], [room for _, room in plan])
        self.reads += 1
        self.clock.set(look.server_time)
        self._advance(plan, look)
        for queue, mailbox in list(self._mailboxes.items()):
            mailbox.cursors = merge(mailbox.cursors)
            self._end_rereads(mailbox)
            mailbox.coverage.looked(sent[queue], look.seen)
            # Behind the messages: it opens the gate of asks.
            if numbers := mailbox.coverage.reached(mailbox.cursors):
                self._hand_out(mailbox, Delivered(numbers))

    def _advance(self, plan: Sequence[tuple[Cursor, int]], look: Fetched) -> None:
        for (cursor, room), rows in zip(plan, look.rows, strict=True):
            mailbox = self._mailboxes[cursor.lane.queue]
            last = (rows[-1].tx, rows[-1].id) if rows else None
            place = next(i for i, each in enumerate(mailbox.cursors) if each is cursor)
            mailbox.cursors[place] = cursor.advance(look.seen, last, full=len(rows) >= room)
            if rows:
                messages = list(_messages(cursor.lane, rows, mailbox.fences))
                mailbox.room -= len(messages)
                mailbox.peak = max(mailbox.peak, mailbox.depth)
                self.messages += len(messages)
                key, number = cursor.lane.key, cursor.lane.number
                for start in range(0, len(messages), SHEET):
                    self._hand_out(mailbox, Page(messages[start : start + SHEET], key=key, number=number))

    def _end_rereads(self, mailbox: _Mailbox) -> None:
        """End the extra cursors of a key once they stand where the others do."""
        keys = {cursor.lane.key for cursor in mailbox.cursors if cursor.lane.key is not None}
        for key in keys:
            its = [cursor for cursor in mailbox.cursors if cursor.lane.key == key]
            if all(any(_same_place(cursor, main) for main in mailbox.cursors) for cursor in its):
                mailbox.cursors = [cursor for cursor in mailbox.cursors if cursor.lane.key != key]
                self._hand_out(mailbox, Page(key=key, last=True, number=its[0].lane.number))

    def _hand_out(self, mailbox: _Mailbox, signal: Owned | Page | Delivered) -> None:
        try:
            mailbox.inbox.send_nowait(signal)
        except trio.BrokenResourceError:
            # The handler takes nothing more; it will say when its partitions may go.
            mailbox.room = 0


def _same_place(reread: Cursor, main: Cursor) -> bool:
    return (
        main.lane.key is None
        and main.lane.priority == reread.lane.priority
        and reread.lane.partitions <= main.lane.partitions
        and reread.caught_up
        and main.caught_up
        and reread.after == main.after
    )


def _messages(lane: Lane, rows: Iterable[FetchedRow], fences: dict[int, Fence]) -> Iterable[Message]:
    for id_, tx, partition, key, type_, version, payload, headers, attempts, wait in rows:
        yield Message(
            id_,
            tx,
            lane.queue,
            partition,
            lane.priority,
            key,
            type_,
            version,
            payload,
            headers,
            attempts,
            wait,
            fences[partition],
        )


__all__ = ["Fetcher", "FetcherStatistics"]
