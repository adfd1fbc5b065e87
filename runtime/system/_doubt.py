"""After partitions were taken: who sent to them may have woken their former owner. Pure.

A sender inserts its messages, looks who owns their partitions, wakes the owner, and commits. If they change
hands between its look and its commit, the new owner is not told. Every such sender had a transaction id when
the first look after the take was taken; so until all transactions that were running then have ended, there
are further looks, the longer it takes the fewer.
"""

from __future__ import annotations

from typing import Final, final

from attrs import define

from ..contract import Snapshot

SHORTEST: Final = 0.002
"""Seconds between two looks at least."""


@final
@define(eq=False)
class Doubt:
    """Says how long to keep looking after a take.

    Attributes:
        since: When partitions were taken, on Trio's clock.
    """

    since: float
    _until: int | None = None

    def is_settled(self, seen: Snapshot) -> bool:
        """Take note of a look; say whether whoever may have woken another has ended."""
        if self._until is None:
            self._until = seen.xmax
        return seen.xmin >= self._until

    def next_look(self, now: float) -> float:
        """Return when to look again, on Trio's clock."""
        return now + max(SHORTEST, (now - self.since) / 2)
