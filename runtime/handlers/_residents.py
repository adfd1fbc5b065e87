"""The actors of one kind in memory: found by key, loaded when cold, woken when due, forgotten when unused."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterator
from itertools import count
from typing import final

import trio
from attrs import define, field

from ..contract import partition_of_key
from ._key_lines import Line
from ._resident import LOADED, Resident


@final
@define(eq=False)
class Residents:
    """The actors of one kind in memory.

    Attributes:
        partitions: How many partitions a queue has.
        cold: Those that have work and wait to be loaded.
        stopped: Keys that were parked or broken; some may have been resumed since.
        hits: How often an actor was needed that was in memory.
        evictions: How many have left.
    """

    partitions: int
    cold: dict[str, Resident] = field(factory=dict[str, Resident])
    stopped: set[str] = field(factory=set[str])
    hits: int = 0
    evictions: int = 0
    _by_key: OrderedDict[str, Resident] = field(factory=OrderedDict[str, Resident])
    _timers: list[tuple[float, int, Resident]] = field(factory=list[tuple[float, int, Resident]])
    _tie: Iterator[int] = field(factory=count)
    _blocked: set[str] = field(factory=set[str])

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Resident]:
        return iter(self._by_key.values())

    def find(self, key: str) -> Resident | None:
        """Return the actor of a key, if it is in memory."""
        return self._by_key.get(key)

    def need(self, key: str) -> Resident:
        """Return the actor of a key, cold if it is new; it counts as used now."""
        resident = self._by_key.get(key)
        if resident is None:
            partition = partition_of_key(key, self.partitions)
            resident = self._by_key[key] = Resident(key, partition, Line(key))
        else:
            self._by_key.move_to_end(key)
            self.hits += resident.phase is LOADED
        resident.used = trio.current_time()
        return resident

    def loadable(self) -> list[Resident]:
        """Return the cold ones of which nothing is uncommitted: what is loaded now is their last state."""
        return [resident for resident in self.cold.values() if resident.line.uncommitted == 0]

    # ---- blocked and stopped ----

    def block(self, resident: Resident, wait: float) -> None:
        """Let an actor wait for so many seconds; for ever until it is resumed."""
        resident.discard()
        resident.due = trio.current_time() + wait
        if resident.due == float("inf"):
            self.stopped.add(resident.key)
            return
        self._blocked.add(resident.key)
        heapq.heappush(self._timers, (resident.due, next(self._tie), resident))

    @property
    def next_due(self) -> float:
        """When the next blocked actor may go on, on Trio's clock; infinite if none is blocked."""
        return self._timers[0][0] if self._timers else float("inf")

    def due(self) -> Iterator[Resident]:
        """Give the blocked actors whose time has come, once."""
        now = trio.current_time()
        while self._timers and self._timers[0][0] <= now:
            due, _, resident = heapq.heappop(self._timers)
            # A line may have been released, and held again for another time, since this entry was made.
            if resident.is_blocked and resident.due == due:
                yield resident

    def halted(self) -> list[Resident]:
        """Return those that are blocked, parked or broken, without a look at all the others."""
        keys = self._blocked | self.stopped
        found = [each for key in keys if (each := self.find(key)) is not None]
        self._blocked = {each.key for each in found if each.is_blocked}
        return [each for each in found if each.is_blocked or each.is_parked or each.is_broken]

    def resumable(self, stopped: Collection[str]) -> list[Resident]:
        """Return what is stopped here, but not any more where it is stored.

        An actor that was found broken by an ask alone is stored nowhere, and is given another chance.

        Args:
            stopped: The keys that are stopped where it is stored.
        """
        here = [each for key in self.stopped if (each := self.find(key)) is not None]
        here = [each for each in here if each.is_parked or each.is_broken]
        self.stopped = {each.key for each in here}
        # With something uncommitted the mark itself may still be on its way to where it is stored.
        return [each for each in here if each.key not in stopped and each.line.uncommitted == 0]

    # ---- leaving ----

    def forget(self, resident: Resident) -> None:
        """Let an actor leave memory at once."""
        self._by_key.pop(resident.key, None)
        self.cold.pop(resident.key, None)
        self._blocked.discard(resident.key)
        self.stopped.discard(resident.key)

    def passivate(self, most: int, idle: float) -> None:
        """Let actors leave memory: the least recently used first, by number and by age.

        Args:
            most: How many may stay.
            idle: Seconds without use after which an actor leaves.
        """
        oldest = trio.current_time() - idle
        excess = len(self._by_key) - most
        leaving: list[str] = []
        for key, resident in self._by_key.items():
            if excess <= len(leaving) and resident.used > oldest:
                break
            if resident.is_idle:
                leaving.append(key)
        for key in leaving:
            del self._by_key[key]
            self._blocked.discard(key)
        self.evictions += len(leaving)
