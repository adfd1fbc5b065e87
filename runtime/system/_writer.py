"""The writer: group commit.

It takes whatever has been finished since its last commit and commits it in one
transaction and one round trip. While that is under way the handlers compute
further turns on state that is not committed yet; if a commit fails, exactly
the turns that were built on it fall with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from typing import Any, final

import trio
from attrs import define, field

from rolebook.actors import OutcomeUnknown, Stopping

from ..contract import (
    MOST_BYTES,
    BadData,
    Committed,
    CommitUnit,
    Conflict,
    Forgotten,
    MessagePart,
    NotOwner,
    Outdated,
    RetryAsNew,
    RetryInPlace,
    Ring,
    SendLater,
    ServerForgot,
    Settled,
    Store,
    StoreFirstOutcome,
    TimedOut,
    Totals,
    Verdict,
    WriteSession,
)
from ._commit_queue import CommitQueue
from ._send_count import SendCount
from ._signals import FetcherSignal, Look
from ._standing import Standing

_log = logging.getLogger("rolebook.writer")


@final
@define(eq=False)
class Writer:
    """Commits units in batches, in the order they were handed in.

    Attributes:
        inbox: Lists of units.
        fetcher: Where to say that messages were sent.
        owned: The partitions of each queue that this process owns: no bell is needed for them.
        standing: The session that commits stand on.
        batch: Units in one commit at most.
        batch_bytes: Bytes of what they store at most; a unit with more is committed alone.
        on_schedule: Called with the messages for later that were committed.
        queue: What is on its way here, in bytes.
    """

    store: Store
    inbox: trio.MemoryReceiveChannel[Sequence[CommitUnit]]
    fetcher: trio.MemorySendChannel[FetcherSignal]
    count: SendCount
    owned: Mapping[str, Container[int]]
    batch: int
    on_schedule: Callable[[Sequence[SendLater | RetryAsNew]], None]
    totals: Totals
    standing: Standing
    batch_bytes: int = MOST_BYTES
    queue: CommitQueue = field(factory=CommitQueue)
    committed: trio.Event = field(factory=trio.Event)
    _forgot: ServerForgot | None = None
    _most: int = field(init=False)
    """Units in one commit at present: fewer than `batch` for a while after one got no answer in time."""

    def __attrs_post_init__(self) -> None:
        self._most = self.batch

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
        self._forgot = self.standing.forgot
        try:
            await self._commit(session, units)
        except BaseException as error:
            # Cancellation too: those who wait must hear it, because nobody else has their units any more.
            _abandon([unit for unit in units if not unit.settled], error)
            raise
        finally:
            self.queue.settled(units)

    def refuse_rest(self, error: Exception) -> None:
        """Take nothing more, and tell those whose commit has not begun that it never will."""
        self.void_waiting(error)
        self.inbox.close()

    def void_waiting(self, error: Exception) -> None:
        """Tell those whose commit has not begun that it never will."""
        waiting: list[CommitUnit] = []
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                waiting.extend(self.inbox.receive_nowait())
        _give_up(waiting, error)
        self.queue.settled(waiting)

    def _gather(self, first: Sequence[CommitUnit]) -> list[CommitUnit]:
        # In the order in which they were handed in. To sort by queue would group better, and break the order
        # of what one sender sends to two actors that send to the same third.
        units = list(first)
        while len(units) < self._most:
            try:
                units.extend(self.inbox.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        return units

    async def _commit(self, session: WriteSession, units: Sequence[CommitUnit]) -> None:
        """Commit some turns; single out what fails, and commit the rest."""
        # Looked at before each try: what fell in the last one has voided what was built on it.
        while units := self._without_void(units):
            if ahead := (
                _before_a_second_naming(units)
                or _before_another_session(units)
                or self._many(units)
                or self.queue.fitting(units, self.batch_bytes)
            ):
                await self._commit(session, units[:ahead])
                units = units[ahead:]
                continue
            nonce = _nonce_of(units) or self.standing.nonce
            result = await session.commit(units, self._rings(units), nonce)
            if isinstance(result, Committed):
                self._tell_of(units)
                self._most = min(self.batch, 2 * self._most)
                return
            if isinstance(result, TimedOut):
                self._most = max(1, len(units) // 2)
                continue
            if isinstance(result, Forgotten):
                _give_up(units, result.error)
                return
            if isinstance(result, Conflict):
                units = await self._without_lost(session, units, nonce, result)
            elif len(units) == 1:
                _settle_refused(units, result)
                return
            else:
                # The database says that something is wrong, not with which: halve until it is alone. The
                # first half goes first, so that the order stays.
                half = len(units) // 2
                await self._commit(session, units[:half])
                units = units[half:]

    def _many(self, units: Sequence[CommitUnit]) -> int:
        """Return how many units go into the next commit; 0 if all of them do."""
        # A handler hands in its units together, and a few more than `batch` do no harm.
        return self._most if self._most < min(self.batch, len(units)) else 0

    def _without_void(self, units: Sequence[CommitUnit]) -> Sequence[CommitUnit]:
        """Settle what is not to be committed any more, and return the rest."""
        if self.standing.forgot is not self._forgot:
            assert self.standing.forgot is not None
            _give_up(units, self.standing.forgot)  # they were handed in before
            return ()
        void = [unit for unit in units if unit.lineage is not None and unit.lineage.void]
        if not void:
            return units
        _settle(void, Verdict.VOID)
        return [unit for unit in units if unit.lineage is None or not unit.lineage.void]

    async def _without_lost(
        self, session: WriteSession, units: Sequence[CommitUnit], nonce: int | None, conflict: Conflict
    ) -> Sequence[CommitUnit]:
        """Settle what a conflict names, and return the rest, which commits next.

        To give up the whole batch would let one process's late take-over void turns of other partitions.
        """
        if conflict.elsewhere:
            if nonce == self.standing.nonce:
                self.standing.lose(nonce, "it does not live on the server to which commits go")
                await session.renew()
            _settle([unit for unit in units if unit.fence is not None], Verdict.LOST)
            return [unit for unit in units if unit.fence is None]
        if conflict.stale:
            self.standing.lose(nonce, f"others own what it took: {sorted(conflict.stale)}")
        lost = [unit for unit in units if _is_lost(unit, conflict)]
        repeated = [unit for unit in units if _is_repeated(unit, conflict)]
        if not lost and not repeated:
            message = f"a commit failed for {conflict}, which names none of its turns"
            raise RuntimeError(message)
        _settle(lost, Verdict.LOST)
        _settle(repeated, Verdict.REPEATED)
        gone = {*map(id, lost), *map(id, repeated)}
        return [unit for unit in units if id(unit) not in gone]

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
        if later := [
            part for unit in units for part in unit.parts if isinstance(part, SendLater | RetryAsNew)
        ]:
            self.on_schedule(later)
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


def _nonce_of(units: Sequence[CommitUnit]) -> int | None:
    """Return the number of the session that some units stand on, if any of them stands on one."""
    return next((unit.fence.nonce for unit in units if unit.fence is not None), None)


def _before_another_session(units: Sequence[CommitUnit]) -> int:
    """Return how many units come before the first that stands on another session than those before it."""
    nonce: int | None = None
    for place, unit in enumerate(units):
        if unit.fence is not None:
            if nonce is not None and unit.fence.nonce != nonce:
                return place
            nonce = unit.fence.nonce
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
    _give_up(units, OutcomeUnknown(f"the writer stopped during the commit ({type(cause).__name__}: {cause})"))


def _give_up(units: Sequence[CommitUnit], error: Exception) -> None:
    """Nothing more becomes of some units; who waits for one is told why."""
    for unit in units:
        if unit.promise is not None:
            unit.promise.fail(error)
            unit.promise.given_up = True
    _settle(units, Verdict.VOID, error)


def _settle_refused(units: Sequence[CommitUnit], result: BadData | Outdated) -> None:
    if isinstance(result, Outdated):
        _log.warning("a turn is void: the journal is not as it was when its actor was loaded")
        _settle(units, Verdict.VOID)
    else:
        _settle(units, Verdict.FAILED, result.error)


def _settle(units: Sequence[CommitUnit], verdict: Verdict, error: Exception | None = None) -> None:
    """Send the verdicts, one message for each origin, and answer who waits for a reply."""
    origins: dict[trio.MemorySendChannel[Any], list[CommitUnit]] = {}
    for unit in units:
        origins.setdefault(unit.origin, []).append(unit)
        unit.settled = True
        # The lineage first: whatever its handler does on hearing this, no later unit of it may commit.
        if verdict is Verdict.COMMITTED:
            _answer(unit)
        elif unit.lineage is not None:
            unit.lineage.void = True
    for origin, its in origins.items():
        try:
            origin.send_nowait(Settled(verdict, its, error))
        except trio.BrokenResourceError:
            # The handler has gone with its session; who asked through it takes another way.
            for unit in its:
                if unit.promise is not None:
                    unit.promise.fail(NotOwner("the session ended before the turn was committed"))


def _answer(unit: CommitUnit) -> None:
    """A unit was committed: what its lineage stood on was there, and who waits for it is told."""
    if unit.events and unit.lineage is not None:
        unit.lineage.proven = True
    if unit.promise is None:
        return
    if unit.error is None:
        unit.promise.answer(unit.reply)
    else:
        unit.promise.fail(unit.error)
