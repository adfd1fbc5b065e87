"""The actors of one kind in memory: found by key, loaded when cold, woken when due, forgotten when unused."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterator
from itertools import count

import trio
from attrs import define, field

from ._partition import partition_of_key
from ._resident import Phase, Resident
from ._rows import Message


@define(eq=False)
class Residents:
    """The actors of one kind in memory.

    Attributes:
        partitions: How many partitions a queue has.
        cold: Those that have work and wait to be loaded.
        stuck: Keys that were parked; some may have been resumed since.
        hits: How often an actor was needed that was in memory.
        evictions: How many have left.
    """

    partitions: int
    cold: dict[str, Resident] = field(factory=dict[str, Resident])
    stuck: set[str] = field(factory=set[str])
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
            resident = self._by_key[key] = Resident(key, partition_of_key(key, self.partitions))
        else:
            self._by_key.move_to_end(key)
            self.hits += resident.phase is Phase.LOADED
        resident.used = trio.current_time()
        return resident

    def loadable(self) -> list[Resident]:
        """Return the cold ones of which nothing is uncommitted: what is loaded now is their last state."""
        return [resident for resident in self.cold.values() if resident.pending == 0]

    # ---- blocking ----

    def block(self, resident: Resident, head: Message, wait: float) -> None:
        """Let an actor wait, with one message at its head, for so many seconds."""
        resident.discard()
        resident.phase = Phase.BLOCKED
        resident.waiting.appendleft(head)
        resident.due = trio.current_time() + wait
        self._blocked.add(resident.key)
        if resident.is_stuck:
            self.stuck.add(resident.key)
            return
        heapq.heappush(self._timers, (resident.due, next(self._tie), resident))

    @property
    def next_due(self) -> float:
        """When the next blocked actor may go on, on Trio's clock; infinite if none is blocked."""
        return self._timers[0][0] if self._timers else float("inf")

    def wake_due(self) -> None:
        """Let the blocked actors whose time has come go on."""
        now = trio.current_time()
        while self._timers and self._timers[0][0] <= now:
            due, _, resident = heapq.heappop(self._timers)
            if resident.phase is Phase.BLOCKED and resident.due == due:
                self.unblock(resident)

    def unblock(self, resident: Resident) -> None:
        """Let a blocked actor go on."""
        if resident.waiting and isinstance(head := resident.waiting[0], Message):
            head.wait = None
        resident.phase = Phase.COLD
        self.cold[resident.key] = resident
        self._blocked.discard(resident.key)

    def halted(self) -> list[Resident]:
        """Return those that are blocked or parked, without a look at all the others."""
        keys = self._blocked | self.stuck
        halted = (Phase.BLOCKED, Phase.PARKED)
        found = [each for key in keys if (each := self.find(key)) is not None and each.phase in halted]
        self._blocked = {each.key for each in found if each.phase is Phase.BLOCKED}
        return found

    def resumable(self, parked: Collection[str]) -> list[str]:
        """Return the keys that are parked here, but not any more where it is stored.

        An actor that was found broken by an ask alone is stored nowhere, and is given another chance.
        """
        stuck = {key for key in self.stuck if (found := self.find(key)) is not None and found.is_stuck}
        self.stuck = stuck
        return [key for key in stuck.difference(parked) if self._by_key[key].pending == 0]

    # ---- leaving ----

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
            if resident.idle:
                leaving.append(key)
        for key in leaving:
            del self._by_key[key]
            self._blocked.discard(key)
        self.evictions += len(leaving)
