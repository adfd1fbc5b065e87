"""One queue as the fetcher sees it: what of it is owned here, and how far it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from sys import getsizeof
from typing import TypeAlias, final

import trio
from attrs import define, field

from ..contract import Cursor, Fence, FetchedRow, Lane, Message, Taken, Trial, merge, runs
from ._coverage import Coverage
from ._signals import Delivered, Owned, Page, Reread

PRIORITIES = (1, 0, -1)
"""Most urgent first: the order in which a queue's lanes are read."""

REREAD_ROOM = 50
"""Messages of one key in one page when it is read again."""

Inbox: TypeAlias = trio.MemorySendChannel[object]


@final
@define(eq=False)
class Mailbox:
    """One queue as the fetcher sees it.

    Attributes:
        inbox: To its handler.
        room: For how many messages more its handler has room.
        capacity: For how many it had at first.
        room_bytes: For how many bytes more; below 0 after a message that is larger than all of it.
        capacity_bytes: For how many it had at first.
        fences: What is owned, by partition.
        leaving: What is being given back: its handler settles what it has of it.
        withdrawn: Whether its handler takes nothing more.
        cursors: How far the lanes are read.
        coverage: How far the partitions have been delivered.
        peak: How many messages the handler held at most.
        told: Whether the handler knows what is owned.
    """

    queue: str
    inbox: Inbox
    room: int
    capacity: int
    room_bytes: int
    capacity_bytes: int
    fences: dict[int, Fence] = field(factory=dict[int, Fence])
    leaving: dict[int, Fence] = field(factory=dict[int, Fence])
    withdrawn: bool = False
    cursors: list[Cursor] = field(factory=list[Cursor])
    coverage: Coverage = field(factory=Coverage)
    peak: int = 0
    told: bool = False

    @property
    def depth(self) -> int:
        """How many messages its handler holds."""
        return self.capacity - self.room

    @property
    def has_room(self) -> bool:
        """Whether something may be read: if it has room for all the bytes that one read may bring.

        A queue is read in pages of some size, and keeps nothing of a read from the others.
        """
        return self.room > 0 and self.room_bytes >= page_bytes(self.capacity_bytes)

    # ---- owning ----

    def take(self, taken: Collection[Taken]) -> None:
        """Own some partitions; begin to read those that need no care, from the beginning."""
        self.fences.update((fence.partition, fence) for fence, _ in taken)
        careless = runs(fence.partition for fence, careful in taken if careful is None)
        self.begin([Cursor(lane) for run in careless for lane in lanes_of(self.queue, run)])

    def begin(self, cursors: Collection[Cursor]) -> None:
        """Read with some cursors from now on."""
        self.cursors.extend(cursors)
        self.coverage.began({partition for cursor in cursors for partition in cursor.lane.partitions})

    def give(self, partitions: Collection[int]) -> None:
        """Read some partitions no longer; they go once the handler has settled what it has of them."""
        self.leaving.update((partition, self.fences.pop(partition)) for partition in partitions)
        self.cursors = [left for cursor in self.cursors for left in cursor.without(partitions)]

    def drained(self, partitions: Collection[int]) -> list[Fence]:
        """The handler has settled what it had of some partitions: return what may go."""
        return [self.leaving.pop(partition) for partition in partitions if partition in self.leaving]

    # ---- reading ----

    def readable(self) -> list[tuple[Cursor, int]]:
        """The cursors worth reading now, each with its room.

        A lane with a backlog keeps the lanes of lower priority waiting. A
        backlog is read in pages of some size: not in crumbs, one for each credit.
        """
        if not self.has_room:
            return []
        wanted: list[tuple[Cursor, int]] = []
        for priority in PRIORITIES:
            lanes = [cursor for cursor in self.cursors if cursor.lane.priority == priority]
            wanted += [(cursor, REREAD_ROOM) for cursor in lanes if cursor.lane.key is not None]
            lanes = [cursor for cursor in lanes if cursor.lane.key is None]
            has_backlog = any(cursor.within is not None for cursor in lanes)
            if has_backlog and self.room < self.capacity // 4:
                return wanted
            if len(lanes) > self.room:  # those that were read longest ago
                lanes = sorted(lanes, key=_oldest_look)[: self.room]
            wanted += [(cursor, self.room // len(lanes)) for cursor in lanes]
            if has_backlog:
                break
        return wanted

    def has_backlog(self) -> bool:
        """Whether there is more to read at once."""
        # At rest every lane has caught up, and which of them are readable need not be worked out.
        return any(not cursor.caught_up for cursor in self.cursors) and any(
            not cursor.caught_up for cursor, _ in self.readable()
        )

    def reread(self, signal: Reread) -> bool:
        """Read a key again from its first message; says whether its partition is owned."""
        if signal.partition not in self.fences:
            return False
        run = range(signal.partition, signal.partition + 1)
        # An earlier reading of the key that is still under way would hand out its later messages first.
        self.cursors = [cursor for cursor in self.cursors if cursor.lane.key != signal.key]
        lanes = lanes_of(self.queue, run, signal.key, signal.number)
        self.cursors.extend(Cursor(lane) for lane in lanes)
        return True

    def looked(self) -> list[Page]:
        """Join what stands at one place; end the cursors of a key once they stand where the others do."""
        self.cursors = merge(self.cursors)
        ended: list[Page] = []
        for key in {cursor.lane.key for cursor in self.cursors if cursor.lane.key is not None}:
            its = [cursor for cursor in self.cursors if cursor.lane.key == key]
            if all(any(_same_place(cursor, main) for main in self.cursors) for cursor in its):
                self.cursors = [cursor for cursor in self.cursors if cursor.lane.key != key]
                ended.append(Page(key=key, last=True, number=its[0].lane.number))
        return ended

    def hand_out_messages(self, page: Page) -> None:
        """Give messages to the handler; they take up room."""
        self.room -= len(page.messages)
        self.room_bytes -= sum([message.size for message in page.messages])
        self.peak = max(self.peak, self.depth)
        self.hand_out(page)

    def hand_out(self, signal: Owned | Page | Delivered) -> None:
        """Give something to the handler."""
        try:
            self.inbox.send_nowait(signal)
        except trio.BrokenResourceError:
            # The handler takes nothing more; it will say when its partitions may go.
            self.room = 0

    def own_up(self) -> None:
        """Tell the handler what is owned."""
        self.told = True
        self.hand_out(Owned(dict(self.fences)))


def page_bytes(capacity: int) -> int:
    """Return how many bytes one read may bring, of all queues, if one may hold so many."""
    return capacity // 4


def lanes_of(queue: str, run: range, key: str | None = None, number: int = 0) -> list[Lane]:
    """Return the lanes of a run of partitions, the most urgent first."""
    return [Lane(queue, priority, run, key, number) for priority in PRIORITIES]


def messages(
    lane: Lane,
    rows: Iterable[FetchedRow],
    fences: Mapping[int, Fence],
    trial: Trial | None = None,
    *,
    large: bool = True,
) -> Iterable[Message]:
    """Make the messages of some rows; their bytes count if there may be large ones among them."""
    for id_, tx, partition, key, type_, version, payload, headers, attempts, wait, sent in rows:
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
            sent,
            fences[partition],
            True,
            trial,
            getsizeof(payload) + getsizeof(headers) if large else 0,
        )


def _oldest_look(cursor: Cursor) -> tuple[int, int]:
    return (cursor.after.xmax, cursor.lane.partitions.start)


def _same_place(reread: Cursor, main: Cursor) -> bool:
    return (
        main.lane.key is None
        and main.lane.priority == reread.lane.priority
        and reread.lane.partitions.start in main.lane.partitions
        and reread.caught_up
        and main.caught_up
        and reread.after == main.after
    )
