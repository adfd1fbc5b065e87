"""The writer: group commit.

It takes whatever has been finished since its last commit and commits it in one
transaction and one round trip. While that is under way the handlers compute
further turns on state that is not committed yet; if a commit fails, exactly
the turns that were built on it fall with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import WeakSet

import trio
from attrs import define, field

from rolebook.actors import OutcomeUnknown, Stopping

from ._finished import Finished, NotOwner, Settled, Totals, Verdict
from ._rows import Committed, Conflict, Rare
from ._signals import FetcherSignal, Look
from ._store import Store, WriteSession

_log = logging.getLogger("rolebook.writer")


@define(eq=False)
class SendCount:
    """How often this process has committed messages to each queue.

    An ask that takes the local way is held back until what was sent before it
    has been delivered; these numbers say what "before" is.

    Attributes:
        commits: All of them.
        by_queue: The number of the latest that sent to a queue.
        elsewhere: Connections on which callers sent to a queue: nobody says when they commit.
    """

    commits: int = 0
    by_queue: dict[str, int] = field(factory=dict[str, int])
    elsewhere: dict[str, WeakSet[Any]] = field(factory=dict[str, WeakSet[Any]])

    def note_elsewhere(self, queues: Iterable[str], connection: Any) -> None:
        """Take note that messages were sent on a caller's connection."""
        for queue in queues:
            self.elsewhere.setdefault(queue, WeakSet()).add(connection)

    def note_ended(self, queue: str, has_ended: Callable[[Any], bool]) -> bool:
        """Count what callers may have committed to a queue by now.

        Args:
            queue: That is about to be asked.
            has_ended: Says whether a connection's transaction is over.

        Returns:
            Whether there is any: it takes a look to see it.
        """
        if queue not in self.elsewhere:
            return False
        self.commits += 1
        self.by_queue[queue] = self.commits
        if all(map(has_ended, self.elsewhere[queue])):
            del self.elsewhere[queue]
        return True


@define(eq=False)
class Writer:
    """Commits finished turns in batches, in the order they were handed in.

    Attributes:
        inbox: Lists of finished turns.
        fetcher: Where to say that messages were sent.
        owned: Queues of which this process owns every partition: no bell is needed for them.
        batch: Turns in one commit at most.
        on_schedule: Called when messages for later were committed.
    """

    store: Store
    inbox: trio.MemoryReceiveChannel[Sequence[Finished]]
    fetcher: trio.MemorySendChannel[FetcherSignal]
    count: SendCount
    owned: set[str]
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
                first: Sequence[Finished] = ()
                with stopping.interrupts():
                    first = await self.inbox.receive()
                await self._commit_or_abandon(session, self._gather(first))
            # What has been handed in until now, and no more: who keeps on sending would keep us here.
            for _ in range(self.inbox.statistics().current_buffer_used):
                await self._commit_or_abandon(session, self._gather(()))

    async def _commit_or_abandon(self, session: WriteSession, turns: Sequence[Finished]) -> None:
        try:
            await self._commit(session, turns)
        except BaseException as error:
            _abandon([turn for turn in turns if not turn.settled], error)
            raise

    def refuse_rest(self, error: Exception) -> None:
        """Take nothing more, and tell those whose commit has not begun that it never will."""
        rest: list[Finished] = []
        try:
            while True:
                rest.extend(self.inbox.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            self.inbox.close()
        for turn in rest:
            if turn.promise is not None:
                turn.promise.fail(error)
        _settle(rest, Verdict.VOID, error)

    def _gather(self, first: Sequence[Finished]) -> list[Finished]:
        turns = list(first)
        while len(turns) < self.batch:
            try:
                turns.extend(self.inbox.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        return turns

    async def _commit(self, session: WriteSession, turns: Sequence[Finished]) -> None:
        """Commit some turns; single out what fails, and commit the rest."""
        while turns:
            turns = self._without_void(turns)
            if not turns:
                return
            result = await session.commit(turns, self._rings(turns))
            if isinstance(result, Committed):
                self._tell_of(turns)
                return
            if isinstance(result, Conflict):
                lost = [turn for turn in turns if _is_lost(turn, result)]
                repeated = [turn for turn in turns if _is_repeated(turn, result)]
                if not lost and not repeated:
                    message = f"a commit failed for {result}, which names none of its turns"
                    raise RuntimeError(message)
                _settle(lost, Verdict.LOST)
                _settle(repeated, Verdict.REPEATED)
                gone = {*map(id, lost), *map(id, repeated)}
                turns = [turn for turn in turns if id(turn) not in gone]
            elif len(turns) == 1:
                _settle(turns, Verdict.FAILED, result.error)
                return
            else:
                half = len(turns) // 2
                await self._commit(session, turns[:half])
                turns = turns[half:]

    def _without_void(self, turns: Sequence[Finished]) -> Sequence[Finished]:
        void = [turn for turn in turns if turn.lineage is not None and turn.lineage.void]
        if not void:
            return turns
        _settle(void, Verdict.VOID)
        return [turn for turn in turns if turn.lineage is None or not turn.lineage.void]

    def _rings(self, turns: Sequence[Finished]) -> list[str]:
        queues = {send.queue for turn in turns for send in turn.sends}
        return sorted(queues - self.owned)

    def _tell_of(self, turns: Sequence[Finished]) -> None:
        """Say what committed: first where messages went, then the verdicts."""
        self.totals.commits += 1
        self.totals.turns += len(turns)
        self.totals.events += sum(len(turn.events) for turn in turns)
        queues = {send.queue for turn in turns for send in turn.sends}
        if queues:
            self.count.commits += 1
            sent = dict.fromkeys(queues, self.count.commits)
            self.count.by_queue.update(sent)
            self.fetcher.send_nowait(Look())
        if any(part.kind in ("scheduled", "later") for turn in turns for part in turn.rare):
            self.on_schedule()
        self.committed.set()
        self.committed = trio.Event()
        _settle(turns, Verdict.COMMITTED)


def _is_lost(turn: Finished, conflict: Conflict) -> bool:
    if turn.fence is not None and (turn.fence.queue, turn.fence.partition) in conflict.stale:
        return True
    if turn.consumed is not None and turn.consumed.id in conflict.missing:
        return True
    return any(_message_of(part) in conflict.missing for part in turn.rare)


def _is_repeated(turn: Finished, conflict: Conflict) -> bool:
    return bool(conflict.repeated) and any(
        part.kind == "once" and part.row["id"] in conflict.repeated for part in turn.rare
    )


def _message_of(part: Rare) -> int | None:
    return part.row.get("id")


def _abandon(turns: Sequence[Finished], cause: BaseException) -> None:
    """The writer fails in the middle of a commit: nobody knows whether these turns happened.

    A message can be handled again: if its first turn was committed, the second
    finds it gone. A command that came by call cannot, so who asked must be told.
    """
    error = OutcomeUnknown(f"the writer stopped during the commit ({type(cause).__name__}: {cause})")
    for turn in turns:
        if turn.promise is not None:
            turn.promise.fail(error)
            turn.promise.given_up = True
    _settle(turns, Verdict.VOID, error)


def _settle(turns: Sequence[Finished], verdict: Verdict, error: Exception | None = None) -> None:
    """Send the verdicts, one message for each origin, and answer who waits for a reply."""
    origins: dict[trio.MemorySendChannel[Any], list[Finished]] = {}
    for turn in turns:
        origins.setdefault(turn.origin, []).append(turn)
        turn.settled = True
        if verdict is not Verdict.COMMITTED:
            if turn.lineage is not None:
                turn.lineage.void = True
        elif turn.promise is not None:
            if turn.error is None:
                turn.promise.answer(turn.reply)
            else:
                turn.promise.fail(turn.error)
    for origin, its in origins.items():
        try:
            origin.send_nowait(Settled(verdict, its, error))
        except trio.BrokenResourceError:
            # The handler has gone with its session; who asked through it takes another way.
            for turn in its:
                if turn.promise is not None:
                    turn.promise.fail(NotOwner("the session ended before the turn was committed"))
