"""The writer: group commit.

It takes whatever has been finished since its last commit and commits it in one
transaction and one round trip. While that is under way the handlers compute
further turns on state that is not committed yet; if a commit fails, exactly
the turns that were built on it fall with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, final

import trio
from attrs import define, field

from rolebook.actors import OutcomeUnknown, Stopping

from ..contract import (
    Committed,
    CommitUnit,
    Conflict,
    MessagePart,
    NotOwner,
    RetryAsNew,
    RetryInPlace,
    Ring,
    SendLater,
    Settled,
    Store,
    StoreFirstOutcome,
    Totals,
    Verdict,
    WriteSession,
)
from ._send_count import SendCount
from ._signals import FetcherSignal, Look

_log = logging.getLogger("rolebook.writer")


@final
@define(eq=False)
class Writer:
    """Commits units in batches, in the order they were handed in.

    Attributes:
        inbox: Lists of units.
        fetcher: Where to say that messages were sent.
        owned: The partitions of each queue that this process owns: no bell is needed for them.
        batch: Units in one commit at most.
        on_schedule: Called when messages for later were committed.
    """

    store: Store
    inbox: trio.MemoryReceiveChannel[Sequence[CommitUnit]]
    fetcher: trio.MemorySendChannel[FetcherSignal]
    count: SendCount
    owned: Mapping[str, Container[int]]
    batch: int
    on_schedule: Callable[[], None]
    totals: Totals
    committed: trio.Event = field(factory=trio.Event)

    async def run(
        self, *, stopping: Stopping, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Commit until asked to stop; then commit what has been handed in.

        Cancellation: what was handed in and not committed is reported as of unknown
        outcome only if its commit was under way; the rest never happened.
        """
        async with self.store.open_write_session() as session:
            task_status.started()
            while not stopping.is_set():
                first: Sequence[CommitUnit] = ()
                # Only the wait may be interrupted: a commit that was begun is waited for, or its outcome
                # would be unknown for no reason.
                with stopping.interrupts():
                    first = await self.inbox.receive()
                await self._commit_or_abandon(session, self._gather(first))
            # What has been handed in until now, and no more: who keeps on sending would keep us here.
            for _ in range(self.inbox.statistics().current_buffer_used):
                await self._commit_or_abandon(session, self._gather(()))

    async def _commit_or_abandon(self, session: WriteSession, units: Sequence[CommitUnit]) -> None:
        try:
            await self._commit(session, units)
        except BaseException as error:
            # Cancellation too: those who wait must hear it, because nobody else has their units any more.
            _abandon([unit for unit in units if not unit.settled], error)
            raise

    def refuse_rest(self, error: Exception) -> None:
        """Take nothing more, and tell those whose commit has not begun that it never will."""
        rest: list[CommitUnit] = []
        try:
            while True:
                rest.extend(self.inbox.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            self.inbox.close()
        for unit in rest:
            if unit.promise is not None:
                unit.promise.fail(error)
        _settle(rest, Verdict.VOID, error)

    def _gather(self, first: Sequence[CommitUnit]) -> list[CommitUnit]:
        # In the order in which they were handed in. To sort by queue would group better, and break the order
        # of what one sender sends to two actors that send to the same third.
        units = list(first)
        while len(units) < self.batch:
            try:
                units.extend(self.inbox.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        return units

    async def _commit(self, session: WriteSession, units: Sequence[CommitUnit]) -> None:
        """Commit some turns; single out what fails, and commit the rest."""
        while units:
            # Looked at before each try: what fell in the last one has voided what was built on it.
            units = self._without_void(units)
            if not units:
                return
            if ahead := _before_a_second_naming(units):
                await self._commit(session, units[:ahead])
                units = units[ahead:]
                continue
            result = await session.commit(units, self._rings(units))
            if isinstance(result, Committed):
                self._tell_of(units)
                return
            if isinstance(result, Conflict):
                # Only what the database named falls, and what was built on it; the rest commits next. To give
                # up the whole batch would let one process's late take-over void turns of other partitions.
                lost = [unit for unit in units if _is_lost(unit, result)]
                repeated = [unit for unit in units if _is_repeated(unit, result)]
                if not lost and not repeated:
                    message = f"a commit failed for {result}, which names none of its turns"
                    raise RuntimeError(message)
                _settle(lost, Verdict.LOST)
                _settle(repeated, Verdict.REPEATED)
                gone = {*map(id, lost), *map(id, repeated)}
                units = [unit for unit in units if id(unit) not in gone]
            elif len(units) == 1:
                _settle(units, Verdict.FAILED, result.error)
                return
            else:
                # The database says that a value is bad, not whose: halve until it is alone. The first half
                # goes first, so that the order stays.
                half = len(units) // 2
                await self._commit(session, units[:half])
                units = units[half:]

    def _without_void(self, units: Sequence[CommitUnit]) -> Sequence[CommitUnit]:
        void = [unit for unit in units if unit.lineage is not None and unit.lineage.void]
        if not void:
            return units
        _settle(void, Verdict.VOID)
        return [unit for unit in units if unit.lineage is None or not unit.lineage.void]

    def _rings(self, units: Sequence[CommitUnit]) -> list[Ring]:
        rings = {(send.queue, send.partition) for unit in units for send in unit.sends}
        return sorted(ring for ring in rings if ring[1] not in self.owned.get(ring[0], ()))

    def _tell_of(self, units: Sequence[CommitUnit]) -> None:
        """Say what committed: first where messages went, then the verdicts."""
        self.totals.commits += 1
        self.totals.turns += len(units)
        self.totals.events += sum(len(unit.events) for unit in units)
        # What goes to the partitions of others is no affair of this fetcher's, nor of the gate of local asks.
        none = ()
        queues = {
            send.queue
            for unit in units
            for send in unit.sends
            if send.partition in self.owned.get(send.queue, none)
        }
        if queues:
            # Before the verdicts: who tells, is answered, and then asks, must find its tell counted, or the
            # gate of local asks would let the ask overtake it.
            self.count.sent(queues)
            self.fetcher.send_nowait(Look())
        if any(isinstance(part, (SendLater, RetryAsNew)) for unit in units for part in unit.parts):
            self.on_schedule()
        self.committed.set()
        self.committed = trio.Event()
        _settle(units, Verdict.COMMITTED)


def _before_a_second_naming(units: Sequence[CommitUnit]) -> int:
    """Return how many units come before the first that names a retried message again.

    A short retry may be over before its commit, and one commit cannot both change a message and take it.
    """
    retried = set[int]()
    for place, unit in enumerate(units):
        if retried and (
            (unit.consumed is not None and unit.consumed.id in retried)
            or any(isinstance(part, MessagePart) and part.place.id in retried for part in unit.parts)
        ):
            return place
        if unit.parts:
            retried.update(part.place.id for part in unit.parts if isinstance(part, RetryInPlace))
    return 0


def _is_lost(unit: CommitUnit, conflict: Conflict) -> bool:
    if unit.fence is not None and (unit.fence.queue, unit.fence.partition) in conflict.stale:
        return True
    if unit.consumed is not None and unit.consumed.id in conflict.missing:
        return True
    return any(isinstance(part, MessagePart) and part.place.id in conflict.missing for part in unit.parts)


def _is_repeated(unit: CommitUnit, conflict: Conflict) -> bool:
    return bool(conflict.repeated) and any(
        isinstance(part, StoreFirstOutcome) and part.id in conflict.repeated for part in unit.parts
    )


def _abandon(units: Sequence[CommitUnit], cause: BaseException) -> None:
    """The writer fails in the middle of a commit: nobody knows whether these turns happened.

    A message can be handled again: if its first turn was committed, the second
    finds it gone. A command that came by call cannot, so who asked must be told.
    """
    error = OutcomeUnknown(f"the writer stopped during the commit ({type(cause).__name__}: {cause})")
    for unit in units:
        if unit.promise is not None:
            unit.promise.fail(error)
            unit.promise.given_up = True
    _settle(units, Verdict.VOID, error)


def _settle(units: Sequence[CommitUnit], verdict: Verdict, error: Exception | None = None) -> None:
    """Send the verdicts, one message for each origin, and answer who waits for a reply."""
    origins: dict[trio.MemorySendChannel[Any], list[CommitUnit]] = {}
    for unit in units:
        origins.setdefault(unit.origin, []).append(unit)
        unit.settled = True
        # The lineage first: whatever its handler does on hearing this, no later unit of it may commit.
        if verdict is not Verdict.COMMITTED:
            if unit.lineage is not None:
                unit.lineage.void = True
        elif unit.promise is not None:
            if unit.error is None:
                unit.promise.answer(unit.reply)
            else:
                unit.promise.fail(unit.error)
    for origin, its in origins.items():
        try:
            origin.send_nowait(Settled(verdict, its, error))
        except trio.BrokenResourceError:
            # The handler has gone with its session; who asked through it takes another way.
            for unit in its:
                if unit.promise is not None:
                    unit.promise.fail(NotOwner("the session ended before the turn was committed"))
