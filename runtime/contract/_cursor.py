"""Which rows a lane reads next: what became visible since the last look.

A transaction's rows appear when it commits, not in the order of their ids. So
a cursor does not remember an id; it remembers a snapshot. The next read takes
the rows of transactions that were not visible in that snapshot: those which
were still running then (its `xip` list) and those which began later (`xmax`
and above). Each committed row is read exactly once, with no row lock and no
second look at rows that are dead or in work.

A backlog is read as one window: the rows visible in the snapshot taken when
the window was opened. It is read in pages ordered by (tx, id); the next window
starts where that snapshot ended.

Everything here is pure; the statement that reads is the store's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from attrs import evolve, frozen

from ._shares import runs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

START = (0, -1)


@final
@frozen
class Snapshot:
    """PostgreSQL's `pg_snapshot`: which transactions were finished at one moment.

    Attributes:
        xmin: Every transaction below it was finished.
        xmax: Every transaction at or above it had not begun.
        xip: The transactions between the two that were running.
    """

    xmin: int
    xmax: int
    xip: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read PostgreSQL's text form, `xmin:xmax:xip,xip`."""
        xmin, xmax, xip = text.split(":")
        return cls(int(xmin), int(xmax), tuple(map(int, xip.split(","))) if xip else ())

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.xip))}"

    def sees(self, tx: int) -> bool:
        """Say whether a transaction that committed was visible in this snapshot."""
        return tx < self.xmax and tx not in self.xip

    def includes(self, other: Snapshot) -> bool:
        """Say whether everything visible in the other is visible in this one."""
        return self.xmax >= other.xmax and not any(map(other.sees, self.xip))


NOTHING_SEEN = Snapshot(0, 0)
"""The snapshot of a reader that has read nothing."""


@final
@frozen
class Lane:
    """The rows one cursor reads: a queue's messages of one priority, in one run of partitions.

    A run, because an index scan passes over what is outside of a range; of a set it would read every row.
    With a key it reads that key's messages only: how a key that was set aside is caught up with, without the
    others waiting. The number tells one such reading from the next.
    """

    queue: str
    priority: int
    partitions: range
    key: str | None = None
    number: int = 0


@final
@frozen
class Cursor:
    """How far one lane has been read.

    Attributes:
        after: What was visible in it has been read, or belongs to an older window.
        within: The open window: only rows visible in it are read; None between windows.
        position: The (tx, id) of the last row read in the open window.
        caught_up: Whether everything visible at the last look has been read. A look that
            closes a window reads what was visible when that was opened: if more has been
            committed since, there is another look to take.
    """

    lane: Lane
    after: Snapshot = NOTHING_SEEN
    within: Snapshot | None = None
    position: tuple[int, int] = START
    caught_up: bool = False

    def advance(self, seen: Snapshot, last: tuple[int, int] | None, *, full: bool) -> Cursor:
        """Return the cursor after a read.

        Args:
            seen: The snapshot of the statement that read.
            last: The (tx, id) of the last row it gave, None if it gave none.
            full: Whether it may have more: it gave as many rows as it was allowed to, or as many bytes.
        """
        window = self.within or seen
        if full:
            return evolve(self, within=window, position=last or self.position, caught_up=False)
        return evolve(self, after=window, within=None, position=START, caught_up=window == seen)

    def without(self, partitions: Collection[int]) -> list[Cursor]:
        """Return what is left of the cursor when some partitions are no longer read: one for each run."""
        left = runs(set(self.lane.partitions).difference(partitions))
        return [evolve(self, lane=evolve(self.lane, partitions=run)) for run in left]

    def has_read(self, snapshot: Snapshot) -> bool:
        """Say whether all rows of the lane that are visible in a snapshot have been read.

        What is visible in it has a tx below its `xmax`: a window that has it need not be read to its end.
        """
        if self.after.includes(snapshot):
            return True
        return (
            self.within is not None and self.position[0] >= snapshot.xmax and self.within.includes(snapshot)
        )


def merge(cursors: Iterable[Cursor]) -> list[Cursor]:
    """Join the cursors of one queue and priority that stand at the same place, and whose runs touch.

    A newly taken partition is read by a cursor of its own, from the beginning.
    Once it and the running cursor end a read in the same statement they have
    seen the same snapshot, and one cursor can go on for both.
    """
    joined: list[Cursor] = []
    apart: list[Cursor] = []
    ends: dict[tuple[str, int, Snapshot, int], int] = {}
    for cursor in sorted(cursors, key=lambda cursor: cursor.lane.partitions.start):
        if not cursor.caught_up or cursor.lane.key is not None:
            apart.append(cursor)
            continue
        lane, run = cursor.lane, cursor.lane.partitions
        place = ends.pop((lane.queue, lane.priority, cursor.after, run.start), None)
        if place is None:
            place = len(joined)
            joined.append(cursor)
        else:
            before = joined[place].lane
            longer = evolve(before, partitions=range(before.partitions.start, run.stop))
            joined[place] = evolve(cursor, lane=longer)
        ends[lane.queue, lane.priority, cursor.after, run.stop] = place
    return [*joined, *apart]
