"""What of each partition is in work, or with the writer: a partition is drained when nothing is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from attrs import define, field


@final
@define(eq=False)
class InWork:
    """Counts what has begun of each partition and is not settled.

    Attributes:
        leaving: Partitions that are given back, and are not drained yet.
    """

    leaving: set[int] = field(factory=set[int])
    _counts: dict[int, int] = field(factory=dict[int, int])

    def begun(self, partition: int) -> None:
        """Something of a partition is in work, or with the writer, from now on."""
        self._counts[partition] = self._counts.get(partition, 0) + 1

    def done(self, partition: int) -> None:
        """Something of a partition is settled."""
        self._counts[partition] -= 1

    def leave(self, partitions: Iterable[int]) -> None:
        """Some partitions are given back: nothing of them begins any more."""
        self.leaving.update(partitions)

    def take_drained(self) -> list[int]:
        """Return what is given back and of which nothing is in work, once."""
        drained = [partition for partition in self.leaving if not self._counts.get(partition)]
        self.leaving.difference_update(drained)
        return drained
