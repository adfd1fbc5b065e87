"""The rows of the mailbox, in the order in which they are read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import final

from attrs import define, field

from ..contract import Cursor, FetchedRow, Place


@final
@define(eq=False)
class Stored:
    """One message.

    Attributes:
        tx: The transaction that put it there.
        not_before: When it may be tried again, on the store's clock; 0.0 for at once.
    """

    id: int
    tx: int
    queue: str
    partition: int
    priority: int
    key: str | None
    type: str
    version: int
    payload: str
    headers: str | None
    sent_at: float
    attempts: int = 0
    last_error: str | None = None
    not_before: float = 0.0

    @property
    def place(self) -> Place:
        """Its primary key."""
        return Place(self.queue, self.priority, self.tx, self.id)

    def row(self, now: float) -> FetchedRow:
        """What a fetch gives of it."""
        wait = self.not_before - now if self.not_before > now else None
        return FetchedRow(
            self.id, self.tx, self.partition, self.key, self.type, self.version,
            self.payload, self.headers, self.attempts, wait, self.sent_at,
        )  # fmt: skip


@define(eq=False)
class _Lane:
    """The messages of one queue and priority, by (tx, id)."""

    order: list[tuple[int, int]] = field(factory=list[tuple[int, int]])
    messages: dict[tuple[int, int], Stored] = field(factory=dict[tuple[int, int], Stored])


@final
@define(eq=False)
class Mailbox:
    """Every committed message that has not been handled."""

    _lanes: dict[tuple[str, int], _Lane] = field(factory=dict[tuple[str, int], _Lane])

    def add(self, message: Stored) -> None:
        """Put a message into its place."""
        lane = self._lanes.setdefault((message.queue, message.priority), _Lane())
        insort(lane.order, (message.tx, message.id))
        lane.messages[message.tx, message.id] = message

    def find(self, place: Place) -> Stored | None:
        """Return the message at a place."""
        queue, priority, tx, id_ = place
        lane = self._lanes.get((queue, priority))
        return None if lane is None else lane.messages.get((tx, id_))

    def take(self, place: Place) -> Stored:
        """Remove the message at a place, which must be there."""
        queue, priority, tx, id_ = place
        lane = self._lanes[queue, priority]
        del lane.order[bisect_left(lane.order, (tx, id_))]
        return lane.messages.pop((tx, id_))

    def read(self, cursor: Cursor, room: int, now: float) -> list[FetchedRow]:
        """Return at most `room` rows that the cursor has not read, in order."""
        return [message.row(now) for message in islice(self._unread(cursor), room)]

    def due(self, queues: Iterable[str], now: float) -> bool:
        """Whether any of these queues has a message that may be tried."""
        wanted = frozenset(queues)
        return any(
            message.not_before <= now
            for (queue, _), lane in self._lanes.items()
            if queue in wanted
            for message in lane.messages.values()
        )

    def stopped(self) -> list[Stored]:
        """The messages that wait to be resumed, in order."""
        return [
            message
            for lane in self._lanes.values()
            for place in lane.order
            if (message := lane.messages[place]).not_before == float("inf")
        ]

    def everything(self) -> Iterator[Stored]:
        """Every message."""
        for lane in self._lanes.values():
            yield from lane.messages.values()

    def depth(self, queue: str) -> int:
        """How many messages a queue holds."""
        return sum(len(lane.messages) for (name, _), lane in self._lanes.items() if name == queue)

    def _unread(self, cursor: Cursor) -> Iterator[Stored]:
        lane, after, within = cursor.lane, cursor.after, cursor.within
        found = self._lanes.get((lane.queue, lane.priority))
        if found is None:
            return
        # Nothing below the oldest transaction that was running then is new.
        start = max(cursor.position, (min(after.xip, default=after.xmax), -1))
        for place in islice(found.order, bisect_right(found.order, start), None):
            message = found.messages[place]
            if (
                message.partition in lane.partitions
                and (lane.key is None or message.key == lane.key)
                and not after.sees(message.tx)
                and (within is None or within.sees(message.tx))
            ):
                yield message


def within_bytes(
    rows: Sequence[list[FetchedRow]], most: int
) -> tuple[Sequence[Sequence[FetchedRow]], Collection[int]]:
    """Cut the rows of several cursors so that all together have so many bytes, the first in any case.

    Returns:
        The rows, and the places of the cursors that have lost some, or may have.
    """
    total = 0
    for place, its in enumerate(rows):
        for number, row in enumerate(its):
            total += sum(len(text.encode()) for text in (row.payload, row.headers, row.key, row.type) if text)
            if total > most and (number or any(rows[:place])):
                return [*rows[:place], its[:number], *([] for _ in rows[place + 1 :])], range(
                    place, len(rows)
                )
    return rows, ()
