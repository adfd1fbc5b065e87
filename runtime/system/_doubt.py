"""Who may have sent without waking this process. Pure.

A sender inserts its messages, looks who owns their partitions and whether that process is awake, wakes it if
it is not, and commits. If partitions change hands between its look and its commit, it has woken their former
owner; if the owner falls asleep in between, it has woken nobody. In both cases it had a transaction id when
it looked. So in the first look after such a change its messages are visible, or it is among the transactions
that run; and until all of those have ended there are further looks, the longer they run the fewer.
"""

from __future__ import annotations

from typing import Final, final

from attrs import define, field

from ..contract import Snapshot

SHORTEST: Final = 0.002
"""Seconds between two looks at least."""


@final
@define(eq=False)
class Doubt:
    """Says how long to keep looking after a change that senders may have missed."""

    _begins: bool = False
    _running: dict[int, float] = field(factory=dict[int, float])

    def begin(self) -> None:
        """Partitions were taken, or this process fell asleep: who runs at the next look may not know."""
        self._begins = True

    def looked(self, seen: Snapshot, now: float) -> bool:
        """Take note of a look and of when it was, on Trio's clock.

        Returns:
            Whether some who were in doubt have ended: what they sent can be seen from this look on.
        """
        if not self._running and not self._begins:
            return False
        before, running = self._running, set(seen.xip)
        if self._begins:
            # Known from the first doubt on: one that runs for long does not cost as much as many short ones.
            self._running = {tx: before.get(tx, now) for tx in running}
        else:
            self._running = {tx: since for tx, since in before.items() if tx in running}
        self._begins = False
        return not running.issuperset(before)

    def next_look(self, now: float) -> float:
        """Return when to look again, on Trio's clock; infinite once all have ended."""
        if not self._running:
            return float("inf")
        return now + max(SHORTEST, (now - max(self._running.values())) / 2)
