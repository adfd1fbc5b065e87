"""How far the partitions of a queue have been delivered, in the numbers of `SendCount`. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, final

from attrs import define, field, frozen

from ..contract import Cursor, Snapshot

PRIORITY_OF_ASKS: Final = 0
"""An ask waits for what is at least as urgent, as it would in the mailbox."""


@final
@frozen
class _Mark:
    """What this process had sent by its commit of this number is visible in this snapshot."""

    number: int
    seen: Snapshot


@final
@define(eq=False)
class Coverage:
    """Says of each partition up to which number all that was sent has been delivered.

    A partition of which nothing is said has not been read through since its reading began.
    """

    _marks: list[_Mark] = field(factory=list[_Mark])
    _told: dict[int, int] = field(factory=dict[int, int])
    _newest: int = -1

    def began(self, partitions: Iterable[int]) -> None:
        """Partitions begin to be read: what the next look sees counts for them, whatever was sent."""
        self._newest = -1
        for partition in partitions:
            self._told.pop(partition, None)

    def looked(self, number: int, seen: Snapshot) -> None:
        """A look was taken.

        Args:
            number: Of what had been sent before the look began.
            seen: Its snapshot.
        """
        if number > self._newest:
            self._newest = number
            self._marks.append(_Mark(number, seen))

    def reached(self, cursors: Iterable[Cursor]) -> dict[int, int]:
        """Return the partitions that have come further, each with its number."""
        if not self._marks:
            return {}
        marks = self._marks
        behind = len(marks)
        lowest: dict[int, int] = {}
        for cursor in cursors:
            if cursor.lane.key is not None or cursor.lane.priority < PRIORITY_OF_ASKS:
                continue
            # What was visible at one look is visible at every later one.
            read = bisect_left(marks, True, key=lambda mark: not cursor.has_read(mark.seen))
            behind = min(behind, read)
            number = marks[read - 1].number if read else -1
            for partition in cursor.lane.partitions:
                lowest[partition] = min(number, lowest.get(partition, number))
        del marks[:behind]
        further = {
            partition: number
            for partition, number in lowest.items()
            if number > self._told.get(partition, -1)
        }
        self._told.update(further)
        return further
