"""What the runtime needs of a store. PostgreSQL and the in-memory store keep the same contract.

One contract suite states it and runs over both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol, final

from attrs import frozen

from rolebook.actors import Fingerprint, RolebookError

from ._answers import DeadLetter, Promoted
from ._commit_parts import CommitPart
from ._commit_unit import CommitUnit
from ._cursor import Cursor, Snapshot
from ._rows import CommitResult, EventPage, Fence, FetchedRow, Ring, SendRow, Stream, Taken
from ._server import ServerForgot
from ._shares import Member, Vacancy
from ._stopped import StoppedKey
from ._trials import Suspect, TrialRow
from ._troubles import Troubles

OWNERS = "~"
"""The hint that partitions may have become free, or that members have come or gone."""

MOST_BYTES = 16 * 1024 * 1024
"""Bytes that one query brings at most, unless told otherwise."""


@final
@frozen
class Fetched:
    """What one read saw.

    Attributes:
        seen: The snapshot of the read.
        server_time: The store's clock, in seconds since the epoch.
        rows: For each cursor, its rows in (tx, id) order.
        cut: The places of cursors that may have rows for which there was no room in bytes.
        large: Whether there may be a row of more than 2 kB. If not, their number bounds their bytes.
    """

    seen: Snapshot
    server_time: float
    rows: Sequence[Sequence[FetchedRow]]
    cut: Collection[int] = ()
    large: bool = True


class FetchSession(Protocol):
    """The persistent session that owns partitions and reads the mailbox.

    What it owns is lost when it ends, and its process is no member any more. What moves is announced to every
    process, as `OWNERS` on the common channel.
    """

    @property
    def nonce(self) -> int:
        """Its number: commits and loads prove by it that they run where this session lives."""
        ...

    async def prepare(self, queues: Sequence[str]) -> None:
        """Make sure that the queues' partitions can be taken."""
        ...

    async def join(self, queues: Sequence[str]) -> None:
        """Say which queues this process serves, all of them; with none it is no member."""
        ...

    async def members(self) -> Sequence[Member]:
        """Return the processes that serve queues and whose session lives, the oldest first."""
        ...

    async def vacancies(self, queues: Sequence[str]) -> list[Vacancy]:
        """Return the partitions of some queues that nobody owns.

        Those that an earlier session of this process owned are among them.
        """
        ...

    async def take(self, partitions: Sequence[tuple[str, int]]) -> list[Taken]:
        """Take some partitions, as far as nobody owns them; the epoch of each is raised as it is taken.

        One whose last owner has a commit under way is not taken, and not waited for. What an owner that died
        had on trial is suspected from now on. Whoever sent and woke the last owner is visible to the next
        read, or is named by its snapshot among those that run.
        """
        ...

    async def suspects(self, ids: Sequence[int]) -> dict[int, Suspect]:
        """Return those of some messages that are suspected of having ended their process."""
        ...

    async def begin_trials(self, trials: Sequence[TrialRow]) -> None:
        """Record what is about to begin, each in place of the last of its level in its partition."""
        ...

    async def end_care(self, fences: Sequence[Fence]) -> None:
        """What was to be begun with care is through: nothing of these partitions is suspected any more."""
        ...

    async def release(self, fences: Sequence[Fence]) -> list[Fence]:
        """Give partitions back; returns those that a commit under way holds up, to be given back later."""
        ...

    async def read(
        self, cursors: Sequence[Cursor], rooms: Sequence[int], most_bytes: int = MOST_BYTES
    ) -> Fetched:
        """Read what is new for some cursors, all in one snapshot.

        Args:
            cursors: In the order in which they are served, as long as there is room in bytes.
            rooms: How many rows at most for each of them.
            most_bytes: How many bytes at most for all of them together: of payloads, headers, keys and types.
                The first row of all comes however large it is.
        """
        ...

    async def stay_awake(self) -> bool:
        """Say that this process looks by itself for now: who sends to what it owns need not wake it.

        It is asleep until it says so, and says so once. Returns whether it could be said; later it may be.
        """
        ...

    async def fall_asleep(self) -> None:
        """Say that this process is to be woken again, after it has said that it is awake.

        Whoever sent without waking it is visible to the next read, or is named by its snapshot among those
        that run.
        """
        ...


class WriteSession(Protocol):
    """The session of the writer."""

    async def commit(
        self, units: Sequence[CommitUnit], rings: Sequence[Ring], nonce: int | None
    ) -> CommitResult:
        """Commit some units in one transaction, or none of them.

        Args:
            units: What to commit, in order. All fences among them have the same number.
            rings: Whose owners should be woken.
            nonce: The number of the session that has to live where this commits; None if there is none.

        The result is certain: a link that breaks during the commit is
        repaired, and the outcome looked up, before this returns.
        """
        ...

    async def renew(self) -> None:
        """Use another connection from now on, with a new choice of the server."""
        ...


class ListenSession(Protocol):
    """The session that listens."""

    async def prove(self) -> int:
        """Take a number by which commits prove that they run where this session lives."""
        ...

    @property
    def listening(self) -> bool:
        """Whether notifications can arrive; False means: polling only."""
        ...

    def hints(self, rest: float) -> AsyncIterator[str]:
        """Give the notifications that arrive within `rest` seconds, to the last one."""
        ...

    async def check(self) -> None:
        """Make a round trip that proves that the server still notifies us."""
        ...

    async def retry(self) -> None:
        """Try to listen again."""
        ...


@final
class TurnConflict(RolebookError):
    """Another process has handled the message of a turn, or has the right to: nothing was committed."""


@final
class LinkCut(RolebookError):
    """The link on which a turn had its own transaction broke: nothing of it was committed."""


class TurnTransaction(Protocol):
    """A transaction that a handler asked for: it commits with the handler's turn, or not at all."""

    @property
    def connection(self) -> Any:
        """The connection the handler may use."""
        ...

    def was_cut(self, error: Exception) -> bool:
        """Say whether a turn failed with this error because the link of its transaction broke."""
        ...

    async def commit(self, unit: CommitUnit) -> None:
        """Commit the handler's SQL, its sends and the acknowledgement; the result is certain.

        Raises:
            TurnConflict: Another process has handled the message; nothing was committed.
            Elsewhere: Its session does not live where this ran; nothing was committed.
            ServerForgot: The server forgot commits that it had acknowledged; nothing was committed.
        """
        ...


class Store(Protocol):
    """A journal, a mailbox and a referee."""

    @property
    def partitions(self) -> int:
        """How many partitions each queue has; fixed for the life of the store."""
        ...

    def open_fetch_session(self, owner: str, life: int) -> AbstractAsyncContextManager[FetchSession]:
        """Open the session that owns partitions. They are free again when it ends.

        Args:
            owner: The name of the process.
            life: Its number: what an earlier session of it owned may be taken at once.

        Raises:
            ServerForgot: Commits of this process that had been acknowledged are not there any more. The next
                one opens.
        """
        ...

    def open_write_session(self) -> AbstractAsyncContextManager[WriteSession]:
        """Open the writer's session."""
        ...

    def open_listen_session(self, life: int) -> AbstractAsyncContextManager[ListenSession]:
        """Open the listening session of the process of that number."""
        ...

    def open_turn_transaction(self) -> AbstractAsyncContextManager[TurnTransaction]:
        """Begin a transaction for one turn; leaving without `commit` rolls back."""
        ...

    async def load(
        self,
        actor: str,
        state_version: int,
        after: Mapping[str, int | None],
        most: int,
        most_bytes: int = MOST_BYTES,
        *,
        nonce: int | None = None,
    ) -> dict[str, Stream]:
        """Load some actors' streams in one query.

        Args:
            actor: The actor's name.
            state_version: Which snapshots are of use.
            after: For each key the sequence number to start after; None to start at the snapshot.
            most: How many events at most for each key.
            most_bytes: How many bytes of events and snapshots at most for all keys together; the first of
                all comes however large it is. Each key has an equal share first, or one event.
            nonce: The number of the session that has to live where this reads; None for any server.

        Returns:
            The streams by key; those that there was no room for are left out.

        Raises:
            Elsewhere: It does not live there.
        """
        ...

    async def keys(self, actor: str, after: str, most: int) -> list[str]:
        """Read one page of the keys of actors that have events, in the store's order, after one of them."""
        ...

    async def read_events(
        self, actor: str, key: str, after: int, most: int, most_bytes: int = MOST_BYTES
    ) -> EventPage:
        """Read one page of an actor's journal: so many events at most, and bytes of them; one in any case."""
        ...

    async def pending(self, queues: Sequence[str]) -> bool:
        """Whether any of these queues has a message that is due."""
        ...

    async def served(self, queue: str) -> bool:
        """Whether any process has ever run this queue."""
        ...

    async def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages each of these queues holds, those that wait for a retry included."""
        ...

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """Lend a connection for the caller's own SQL.

        Raises:
            RolebookError: The store has no SQL.
        """
        ...

    async def promote_due(self, most: int) -> Promoted:
        """Move what is due into the mailbox, and forget outcomes that have expired."""
        ...

    async def outcome(self, ask: str) -> str | None:
        """The stored outcome of a remote ask, if there is one that has not expired."""
        ...

    async def has_question(self, queue: str, key: str, ask: str) -> bool:
        """Whether a remote ask is still in the mailbox."""
        ...

    async def depth(self, queue: str, most: int) -> int:
        """How many messages a queue holds, counted no further than `most`."""
        ...

    async def stopped(self, queues: Sequence[str]) -> list[StoppedKey]:
        """The keys of these queues whose first message waits to be resumed."""
        ...

    async def resume(self, queue: str, key: str) -> int:
        """Let the messages of a stopped key be tried again, and tell its owner; returns how many waited."""
        ...

    async def shapes(self, app: str) -> list[Fingerprint]:
        """The shapes of an app's classes, as they were last kept."""
        ...

    async def keep_shapes(self, app: str, shapes: Sequence[Fingerprint]) -> None:
        """Keep the shapes of some of an app's classes, in place of those of the same name and version."""
        ...

    async def holds(self, kind: Literal["event", "command"], name: str, version: int) -> bool:
        """Whether any event, or any message that was not handled, has this stored name and version."""
        ...

    async def dead_letters(self, queue: str | None, most: int) -> list[DeadLetter]:
        """The newest dead letters, of one queue or of all."""
        ...

    async def redrive(self, letters: Sequence[int] | None, queue: str | None) -> int:
        """Put dead letters back into their mailboxes; returns how many."""
        ...

    async def send(
        self, connection: Any, sends: Sequence[SendRow], parts: Sequence[CommitPart], rings: Sequence[Ring]
    ) -> None:
        """Send messages inside the caller's own transaction."""
        ...

    def on_forgotten(self, announce: Callable[[ServerForgot], None]) -> None:
        """Have a function called when it is found that the server forgot, before anything else commits."""
        ...

    def tell(self, troubles: Troubles) -> None:
        """Say who is told of what the store's sessions try again by themselves."""
        ...

    def is_shortage(self, error: BaseException) -> bool:
        """Whether a turn failed for what the store lacked: no fault of its message's nor of its code's."""
        ...

    def has_ended(self, connection: Any) -> bool:
        """Say whether no transaction is open on a connection that `send` was given."""
        ...
