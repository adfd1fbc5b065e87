"""The share of this process: which partitions of each queue it should own, and how it comes to them.

What a process should own follows from who the members are (`share`). It takes what nobody owns up to its
share, and gives back what is above it: reads it no longer, has the handler settle what it began, and only
then lets it go. So no partition has two owners, and no message is begun twice.

Others are told by a hint whenever something moves, and look then. Without hints everybody looks at the
members every `take_interval`; who owns all there is to own, and saw no other member, every `poll_interval`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, TypeAlias, final

import trio
from attrs import define, field

from .._settings import Settings
from ..contract import Fence, FetchSession, Member, Taken, Vacancy, share, to_give, to_take
from ._care import CarefulReader
from ._mailbox import Mailbox

_log = logging.getLogger("rolebook.fetcher")

Declines: TypeAlias = Callable[[Collection[str]], Awaitable[Mapping[str, str]]]

RETURN: Final = 1.0
"""Seconds that a process whose session broke has to come back for its partitions, before others take them."""

RESTART: Final = 0.2
"""Seconds until what a handler has left is given back, while its runtime goes on: if the whole session is
restarted, its next one takes everything up as it is, and others leave it that."""

HELD_UP: Final = 0.05
"""Seconds until the next try at a partition that a commit under way holds."""


@final
@define(eq=False)
class Ownership:
    """Brings what this process owns to its share, in one session.

    Attributes:
        settings: Of the runtime.
        life: The number of this process.
        reader: Reads what an owner that died had.
        declines: Says of some queues which this process is too old for, and why; asked when some are taken.
        members: Who serves queues, as last seen.
        look: Whether to look at the members soon: somebody said that they have changed.
        moves: Partitions taken and given back.
    """

    settings: Settings
    life: int
    reader: CarefulReader
    declines: Declines
    members: Sequence[Member] = ()
    look: bool = False
    moves: int = 0
    _served: frozenset[str] | None = None
    _prepared: set[str] = field(factory=set[str])
    _expected: dict[str, float] = field(factory=dict[str, float])
    _going: list[Fence] = field(factory=list[Fence])
    _going_from: float = 0.0
    _lost: dict[int, float] = field(factory=dict[int, float])
    _next_look: float = 0.0

    def expect(self, queues: Iterable[str]) -> None:
        """A handler of each of these queues is about to start: nobody need take them meanwhile."""
        until = trio.current_time() + RETURN
        self._expected.update(dict.fromkeys(queues, until))
        self.look = True

    def let_go(self, fences: Iterable[Fence], *, after: float = 0.0) -> None:
        """Nothing is left to settle of these: give them back, after so many seconds."""
        self._going.extend(fences)
        self._going_from = max(self._going_from, trio.current_time() + after)

    def rest(self) -> float:
        """Seconds until there is something to do, if nobody says anything."""
        if self.look:
            return 0.0
        times = [self._next_look, *self._expected.values()]
        if self._going:
            times.append(self._going_from)
        return max(0.0, min(times) - trio.current_time())

    async def settle(self, session: FetchSession, mailboxes: Mapping[str, Mailbox], partitions: int) -> bool:
        """Say what is served, give back what has been settled, and come closer to the share.

        Args:
            session: What owns.
            mailboxes: Of the handlers that are there.
            partitions: How many each queue has.

        Returns:
            Whether some were taken.
        """
        now = trio.current_time()
        await self._say_what_is_served(session, mailboxes, now)
        if self._going and now >= self._going_from:
            going, self._going = self._going, []
            self.moves += len(going)
            held_up = await session.release(going)
            if held_up:  # by a commit of somebody who had lost them
                self._going, self._going_from = held_up, now + HELD_UP
        if not self.look and now < self._next_look:
            return False
        self.look = False
        self._note_members(await session.members())
        if all(member.life != self.life for member in self.members):
            self._served, self.look = None, True  # our row is gone: nothing is known of our share
            return False
        short = self._give_excess(mailboxes, partitions)
        others = len(self.members) > 1
        self._next_look = now + (
            self.settings.take_interval if short or others else self.settings.poll_interval
        )
        took = bool(short) and await self._take(session, mailboxes, short, now)
        for mailbox in mailboxes.values():
            if not mailbox.told:
                mailbox.own_up()
        return took

    def _note_members(self, members: Sequence[Member]) -> None:
        names = [member.process for member in members]
        if len(members) != len(self.members) and len(set(names)) < len(names):
            twice = ", ".join(sorted({name for name in names if names.count(name) > 1}))
            _log.warning(
                "several processes have the name %s: give each its own, or log and status mix them up",
                twice,
            )
        self.members = members

    async def leave(self, session: FetchSession) -> None:
        """Be no member any more, and give back what has been let go."""
        await session.join(())
        if self._going:
            going, self._going = self._going, []
            await session.release(going)

    async def _say_what_is_served(
        self, session: FetchSession, mailboxes: Mapping[str, Mailbox], now: float
    ) -> None:
        """Before anything is given back: who leaves withdraws first, so that others know what is theirs."""
        staying = [queue for queue, mailbox in mailboxes.items() if not mailbox.withdrawn]
        for queue in [queue for queue, until in self._expected.items() if until <= now or queue in staying]:
            del self._expected[queue]
        served = frozenset(staying).union(self._expected)
        if new := served - self._prepared:
            await session.prepare(sorted(new))
            self._prepared |= new
        if served != self._served:
            await session.join(sorted(served))
            self._served, self.look = served, True

    def _give_excess(self, mailboxes: Mapping[str, Mailbox], partitions: int) -> dict[str, int]:
        """Begin to give back what is above the share; return the queues below theirs, with their share."""
        short: dict[str, int] = {}
        for queue, mailbox in mailboxes.items():
            if mailbox.withdrawn:
                continue
            wanted = share(partitions, self.members, queue, self.life)
            if wanted == 0 and not mailbox.told:
                _log.warning(
                    "there are more processes than partitions of %r: this one has nothing to do"
                    " (rolebook repartition gives all queues more)",
                    queue,
                )
            if len(mailbox.fences) > wanted:
                given = to_give(mailbox.fences, wanted)
                self.reader.drop(queue, given)
                mailbox.give(given)
                mailbox.own_up()
                _log.info("gives back %d partitions of %r", len(mailbox.leaving), queue)
            elif len(mailbox.fences) < wanted:
                short[queue] = wanted
        return short

    async def _take(
        self, session: FetchSession, mailboxes: Mapping[str, Mailbox], short: Mapping[str, int], now: float
    ) -> bool:
        free: dict[str, list[int]] = {}
        for vacancy in self._free(await session.vacancies(sorted(short)), now):
            free.setdefault(vacancy.queue, []).append(vacancy.partition)
        wanted = [
            (queue, partition)
            for queue, partitions in free.items()
            for partition in to_take(partitions, mailboxes[queue].fences, short[queue])
        ]
        if not wanted:
            return False
        all_taken = await session.take(wanted)
        self.moves += len(all_taken)
        if len(all_taken) < len(wanted):  # somebody else was first, or a commit under way holds one
            self._next_look = min(self._next_look, now + HELD_UP)
        by_queue: dict[str, list[Taken]] = {}
        for taken in all_taken:
            by_queue.setdefault(taken.fence.queue, []).append(taken)
        # Nothing that is too new comes to them from now on; asked before, it could have come in between.
        declined: Mapping[str, str] = await self.declines(by_queue) if by_queue else {}
        for queue, its in by_queue.items():
            if queue in declined:
                self.let_go(taken.fence for taken in its)  # its handler has not seen them
                self._decline(mailboxes[queue], declined[queue])
            else:
                self._own(mailboxes[queue], its)
        return len(declined) < len(by_queue)

    def _own(self, mailbox: Mailbox, its: Collection[Taken]) -> None:
        for fence, careful in its:
            if careful is not None:
                self.reader.take(fence, careful)
        mailbox.take(its)
        mailbox.own_up()
        _log.info("owns %d partitions of %r", len(mailbox.fences), mailbox.queue)

    def _decline(self, mailbox: Mailbox, why: str) -> None:
        """Serve a queue no longer: a newer process has written what this one cannot read."""
        _log.error("%r is left to newer processes: %s; deploy a newer app here", mailbox.queue, why)
        mailbox.withdrawn, self.look = True, True
        self.reader.drop(mailbox.queue, mailbox.fences)
        mailbox.give(list(mailbox.fences))
        mailbox.own_up()

    def _free(self, vacancies: Sequence[Vacancy], now: float) -> list[Vacancy]:
        """Return what may be taken now; what was lost is left to its process for a while."""
        lost = {vacancy.lost for vacancy in vacancies if vacancy.lost is not None}
        self._lost = {number: self._lost.get(number, now) for number in lost}
        if self._lost:
            waiting = [until for since in self._lost.values() if (until := since + RETURN) > now]
            self._next_look = min([self._next_look, *waiting])
        return [
            vacancy
            for vacancy in vacancies
            if vacancy.lost is None or self._lost[vacancy.lost] + RETURN <= now
        ]
