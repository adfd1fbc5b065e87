"""Partitions whose former owner died: what was visible then is begun in steps. See `contract/_trials.py`."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Final, final

import trio
from attrs import define, evolve, field

from ..contract import (
    ALONE,
    GROUP,
    LONGEST_ALONE,
    QUIET,
    Cursor,
    Fence,
    FetchedRow,
    FetchSession,
    Lane,
    Snapshot,
    Suspect,
    Trial,
    TrialRow,
    first_step,
)
from ._mailbox import Mailbox, lanes_of, messages, page_bytes
from ._signals import Page

_log = logging.getLogger("rolebook.fetcher")

PAUSE: Final = 60.0
"""Seconds until the next message may wait to be alone, after one has waited in vain."""

SOON: Final = 1.0
"""Seconds until the next read, after one that had no room for all and began nothing of what it brought."""


@final
@define(eq=False)
class Care:
    """How far the careful reading of one partition is.

    Attributes:
        fence: The right to it.
        seen: What was visible when it was taken: that is begun with care.
        lanes: What is left to read, the most urgent first.
        trial: What is in work, or was last.
        holding: Earlier ones of which something waits for a retry: it stays on record.
        until: When others need not wait for what is in work any longer, on Trio's clock.
    """

    fence: Fence
    seen: Snapshot
    lanes: list[Cursor]
    trial: Trial | None = None
    holding: list[Trial] = field(factory=list[Trial])
    until: float = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether something is in work."""
        return self.trial is not None and bool(self.trial.open)

    def is_on(self, level: int) -> bool:
        """Whether something is in work under a trial of this level."""
        return self.is_busy and self.trial is not None and self.trial.level == level

    def begin(self, suspect: Suspect | None, rows: Sequence[FetchedRow], lived: float) -> TrialRow:
        """Begin the trial of some messages; return what is to be recorded of it."""
        ids = [row.id for row in rows]
        self.trial, self.until = Trial.of(suspect, ids), trio.current_time() + LONGEST_ALONE
        self.holding = [trial for trial in self.holding if trial.held]
        held = [id_ for trial in self.holding if trial.level == self.trial.level for id_ in trial.held]
        self.holding.append(self.trial)
        self.lanes[0] = evolve(self.lanes[0], position=(rows[-1].tx, rows[-1].id))
        return TrialRow(self.fence, self.trial.level, [*ids, *held], lived)

    def share(self, lived: float) -> list[TrialRow]:
        """Others are in work beside what is in work alone: return what is to be recorded instead."""
        assert self.trial is not None
        empty = TrialRow(self.fence, self.trial.level, (), lived)
        self.trial.level = ALONE - 1
        return [empty, TrialRow(self.fence, self.trial.level, [*self.trial.open], lived)]

    def cursors(self) -> list[Cursor]:
        """What is read from now on, once all is through."""
        return [Cursor(lane, after=self.seen) for lane in _lanes(self.fence)]


def _lanes(fence: Fence) -> list[Lane]:
    return lanes_of(fence.queue, range(fence.partition, fence.partition + 1))


@final
@define(eq=False)
class CarefulReader:
    """Reads the partitions whose former owner died.

    Attributes:
        alone: Of which a message is, or waits to be, in work alone: nothing else is read meanwhile. That has
            a bound, for it may wait for the others itself.
        is_pressing: Whether there is more to read at once.
        next_look: When there is something to do if nobody says anything, on Trio's clock.
    """

    alone: Care | None = None
    is_pressing: bool = False
    next_look: float = float("inf")
    _is_alone: bool = False
    _alone_until: float = 0.0  # for the wait before it begins
    _next_alone: float = 0.0
    _cares: dict[tuple[str, int], Care] = field(factory=dict[tuple[str, int], Care])

    def __bool__(self) -> bool:
        return bool(self._cares)

    def take(self, fence: Fence, seen: Snapshot) -> None:
        """Begin to read a partition."""
        lanes = [Cursor(lane, within=seen) for lane in _lanes(fence)]
        self._cares[fence.queue, fence.partition] = Care(fence, seen, lanes)

    def drop(self, queue: str, partitions: Collection[int]) -> None:
        """Read some partitions no longer."""
        for partition in partitions:
            care = self._cares.pop((queue, partition), None)
            if care is not None and care is self.alone:
                self._let_others_go_on()

    async def go_on(self, session: FetchSession, mailboxes: Mapping[str, Mailbox], since: float) -> None:
        """Begin what may begin now.

        Args:
            session: What reads, and records.
            mailboxes: Where messages are handed to.
            since: When the life of this process began.
        """
        self.is_pressing, self.next_look = False, float("inf")
        if self.alone is not None:
            await self._look_at_the_one_alone(session, self.alone, since)
            if self._is_alone:
                return
        ready = [
            care
            for care in self._cares.values()
            if not care.is_busy and self.alone in (None, care) and mailboxes[care.fence.queue].has_room
        ]
        if not ready:
            return
        most_bytes = page_bytes(mailboxes[ready[0].fence.queue].capacity_bytes)
        look = await session.read([care.lanes[0] for care in ready], [GROUP] * len(ready), most_bytes)
        found = [(care, rows) for care, rows in zip(ready, look.rows, strict=True) if rows]
        begun = await self._begin(session, found, mailboxes, since)
        if look.cut:
            self._put_first([care for place, care in enumerate(ready) if place in look.cut])
            self.next_look = min(self.next_look, trio.current_time() + (0.0 if begun else SOON))
        through: list[Care] = []
        for number, (care, rows) in enumerate(zip(ready, look.rows, strict=True)):
            if not rows and number not in look.cut:
                care.lanes.pop(0)
                self.is_pressing = True
                if not care.lanes:
                    through.append(care)
        if through:
            await session.end_care([care.fence for care in through])
            for care in through:
                self.drop(care.fence.queue, [care.fence.partition])
                mailboxes[care.fence.queue].begin(care.cursors())
            self.is_pressing = bool(self._cares)

    async def _begin(
        self,
        session: FetchSession,
        found: Sequence[tuple[Care, Sequence[FetchedRow]]],
        mailboxes: Mapping[str, Mailbox],
        since: float,
    ) -> bool:
        """Begin what may begin of some rows: of each partition the first step. Say whether any did."""
        ids = [row.id for _, rows in found for row in rows]
        suspects = await session.suspects(ids) if ids else {}
        lived = trio.current_time() - since
        begun: list[tuple[Care, Sequence[FetchedRow]]] = []
        records: list[TrialRow] = []
        nothing_is_held = all(mailbox.depth == 0 for mailbox in mailboxes.values())
        for care, rows in found:
            if self.alone not in (None, care):
                continue  # one of those before waits to be alone, or is
            step = rows[: len(first_step([row.id for row in rows], suspects))]
            suspect = suspects.get(step[0].id)
            is_quiet = nothing_is_held and not begun
            if suspect is None or self._may_begin(care, suspect, since, is_quiet=is_quiet):
                records.append(care.begin(suspect, step, lived))
                begun.append((care, step))
        if records:
            # Before anything of it begins: who takes over from us is to know what was in work.
            await session.begin_trials(records)
        for care, step in begun:
            mailbox = mailboxes[care.fence.queue]
            page = Page(list(messages(care.lanes[0].lane, step, mailbox.fences, care.trial)))
            mailbox.hand_out_messages(page)
        return bool(begun)

    def _put_first(self, cares: Sequence[Care]) -> None:
        """Read some first the next time: there was no room for what they have."""
        first = {(care.fence.queue, care.fence.partition): care for care in cares}
        self._cares = {**first, **self._cares}

    def _may_begin(self, care: Care, suspect: Suspect, since: float, *, is_quiet: bool) -> bool:
        """Whether a suspected message may begin now, if nothing is in work or something is."""
        if Trial.of(suspect, ()).is_lost:
            return True  # it is not begun: its handler gives it up
        if suspect.level < ALONE:
            earliest = max(
                (other.until for other in self._cares.values() if other.is_on(suspect.level)), default=0.0
            )
        else:
            earliest = max(since + max(QUIET, suspect.patience), self._next_alone)
        if trio.current_time() < earliest:
            self.next_look = min(self.next_look, earliest)
            return False
        if suspect.level < ALONE:
            return True
        if self.alone is None:
            _log.warning("a message of %r is begun alone: its process ended before", care.fence.queue)
            self.alone, self._alone_until = care, trio.current_time() + LONGEST_ALONE
        self._is_alone = is_quiet
        self.next_look = min(self.next_look, self._alone_until)
        return is_quiet

    async def _look_at_the_one_alone(self, session: FetchSession, care: Care, since: float) -> None:
        """Let the others go on when it is done with, or if that takes too long."""
        now = trio.current_time()
        until = care.until if self._is_alone else self._alone_until
        if self._is_alone and not care.is_busy:
            self._let_others_go_on()
        elif now < until:
            self.next_look = until
        elif self._is_alone:
            # What happens from now on may be the doing of others, so it is recorded with less.
            await session.begin_trials(care.share(now - since))
            _log.warning("a message of %r takes long: others go on beside it", care.fence.queue)
            self._let_others_go_on()
        else:
            _log.warning("others take too long for a message of %r to be begun alone", care.fence.queue)
            self._next_alone = now + PAUSE
            self._let_others_go_on()

    def _let_others_go_on(self) -> None:
        self.alone, self._is_alone = None, False
