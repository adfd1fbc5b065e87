"""The in-memory store."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, Literal, final

import trio
from attrs import evolve

from rolebook.actors import Fingerprint, RolebookError

from ..contract import (
    ASK,
    MOST_BYTES,
    CommitPart,
    DeadLetter,
    Elsewhere,
    EventPage,
    Promoted,
    Ring,
    SendRow,
    ServerForgot,
    StoppedKey,
    Stream,
    Troubles,
    parse,
)
from ._mailbox import Stored
from ._sessions import MemoryFetchSession, MemoryListenSession, MemoryTurnTransaction, MemoryWriteSession
from ._tables import Tables, Time
from ._transaction import MemoryTransaction


@final
class MemoryStore:
    """A journal, a mailbox and a referee in the memory of one process.

    It keeps the contract of PostgreSQL's store, transactions included, and ends
    with the process. Its clock is Trio's: under `trio.testing.MockClock` time is
    virtual, and an hour's delay takes no time. Runtimes that are given the same
    store meet in it as processes meet in a database.

    Args:
        partitions: How many partitions each queue has.
        start: What its clock says at its first use; None for the time of the day.

    Example:
        ```python
        store = MemoryStore()
        async with rb.open_runtime(app, database=store) as one:
            async with rb.open_runtime(app, database=store) as two:
                ...
        ```
    """

    def __init__(self, *, partitions: int = 32, start: datetime | None = None) -> None:
        self._tables = Tables(partitions, Time(start))
        self._sessions: set[MemoryFetchSession] = set()

    @property
    def partitions(self) -> int:
        """How many partitions each queue has."""
        return self._tables.partitions

    @property
    def muted(self) -> bool:
        """Whether notifications are lost. A test sets it to show that nothing depends on them."""
        return self._tables.bell.muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._tables.bell.muted = muted

    def end_session(self, owner: str) -> None:
        """End the fetch session of a process, as a server does to one that is frozen.

        What it owned is free at once; the process finds out when it next uses the session.
        """
        for session in self._sessions:
            if session.owner == owner:
                session.end()

    def begin(self) -> MemoryTransaction:
        """Begin a transaction that the caller commits or rolls back."""
        return MemoryTransaction(self._tables)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[MemoryTransaction]:
        """Open a transaction to send in: the end of the block commits it, an error rolls it back."""
        transaction = self.begin()
        try:
            yield transaction
            await trio.lowlevel.checkpoint()
            transaction.commit()
        finally:
            transaction.roll_back()

    # ---- the contract ----

    @asynccontextmanager
    async def open_fetch_session(self, owner: str, life: int) -> AsyncGenerator[MemoryFetchSession]:
        """Open the session that owns partitions. They are free again when it ends."""
        await trio.lowlevel.checkpoint()
        session = MemoryFetchSession(self._tables, owner, life)
        self._sessions.add(session)
        try:
            yield session
        finally:
            self._sessions.discard(session)
            session.end()

    @asynccontextmanager
    async def open_write_session(self) -> AsyncGenerator[MemoryWriteSession]:
        """Open the writer's session."""
        await trio.lowlevel.checkpoint()
        yield MemoryWriteSession(self._tables)

    @asynccontextmanager
    async def open_listen_session(self, life: int) -> AsyncGenerator[MemoryListenSession]:
        """Open the listening session."""
        await trio.lowlevel.checkpoint()
        bell = self._tables.bell
        listener, hints = bell.listen(life)
        session = MemoryListenSession(self._tables, hints)
        try:
            yield session
        finally:
            session.end()
            bell.forget(listener)

    @asynccontextmanager
    async def open_turn_transaction(self) -> AsyncGenerator[MemoryTurnTransaction]:
        """Begin a transaction for one turn; leaving without `commit` rolls back."""
        await trio.lowlevel.checkpoint()
        transaction = self.begin()
        try:
            yield MemoryTurnTransaction(transaction)
        finally:
            transaction.roll_back()

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
        """Load some actors' streams."""
        await trio.lowlevel.checkpoint()
        if nonce is not None and nonce not in self._tables.sessions:
            raise Elsewhere("the session that this load stands on has ended")
        return self._tables.journal.load(actor, state_version, after, most, most_bytes)

    async def keys(self, actor: str, after: str, most: int) -> list[str]:
        """Read one page of the keys of actors that have events, after one of them."""
        await trio.lowlevel.checkpoint()
        return self._tables.journal.keys(actor, after, most)

    async def read_events(
        self, actor: str, key: str, after: int, most: int, most_bytes: int = MOST_BYTES
    ) -> EventPage:
        """Read one page of an actor's journal."""
        await trio.lowlevel.checkpoint()
        return self._tables.journal.read(actor, key, after, most, most_bytes)

    async def pending(self, queues: Sequence[str]) -> bool:
        """Whether any of these queues has a message that is due."""
        await trio.lowlevel.checkpoint()
        tables, now = self._tables, self._tables.time.now()
        return tables.mailbox.due(queues, now) or any(
            due_at <= now and message.queue in queues for due_at, _, message in tables.scheduled
        )

    async def served(self, queue: str) -> bool:
        """Whether any process has ever run this queue."""
        await trio.lowlevel.checkpoint()
        return (queue, 0) in self._tables.owners

    async def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages each of these queues holds, those that wait for a retry included."""
        await trio.lowlevel.checkpoint()
        return {queue: self._tables.mailbox.depth(queue) for queue in queues}

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """There is none.

        Raises:
            RolebookError: Always; it names what to use instead.
        """
        raise RolebookError(
            "the in-memory store has no SQL: send in `async with store.transaction() as connection`"
        )

    async def promote_due(self, most: int) -> Promoted:
        """Move what is due into the mailbox, and forget what has expired."""
        await trio.lowlevel.checkpoint()
        tables, now = self._tables, self._tables.time.now()
        for expired in [id_ for id_, (_, expires_at) in tables.outcomes.items() if expires_at <= now]:
            del tables.outcomes[expired]
        due: list[Stored] = []
        while tables.scheduled and tables.scheduled[0][0] <= now and len(due) < most:
            due.append(heapq.heappop(tables.scheduled)[2])
        self._arrive(due)
        tables.ring_owners((message.queue, message.partition) for message in due)
        queues = sorted({message.queue for message in due})
        return Promoted(queues, tables.scheduled[0][0] - now if tables.scheduled else None)

    async def outcome(self, ask: str) -> str | None:
        """The stored outcome of a remote ask, if there is one."""
        await trio.lowlevel.checkpoint()
        outcome, expires_at = self._tables.outcomes.get(ask, (None, 0.0))
        return outcome if expires_at > self._tables.time.now() else None

    async def has_question(self, queue: str, key: str, ask: str) -> bool:
        """Whether a remote ask is still in the mailbox."""
        await trio.lowlevel.checkpoint()
        return any(
            (message.queue, message.key) == (queue, key) and parse(message.headers).get(ASK) == ask
            for message in self._tables.mailbox.everything()
        )

    async def depth(self, queue: str, most: int) -> int:
        """How many messages a queue holds, counted no further than `most`."""
        await trio.lowlevel.checkpoint()
        return min(most, self._tables.mailbox.depth(queue))

    async def stopped(self, queues: Sequence[str]) -> list[StoppedKey]:
        """The keys of these queues whose first message waits to be resumed."""
        await trio.lowlevel.checkpoint()
        found: dict[tuple[str, str], StoppedKey] = {}
        for message in self._tables.mailbox.stopped():
            if message.queue in queues and message.key is not None:
                error = message.last_error or ""
                stopped = StoppedKey.of_row(message.queue, message.key, message.attempts, error)
                found.setdefault((message.queue, message.key), stopped)
        return sorted(found.values(), key=lambda each: (each.queue, each.key))

    async def resume(self, queue: str, key: str) -> int:
        """Let the messages of a stopped key be tried again, and tell its owner; returns how many waited."""
        await trio.lowlevel.checkpoint()
        stopped = [each for each in self._tables.mailbox.stopped() if (each.queue, each.key) == (queue, key)]
        for message in stopped:
            message.not_before = 0.0
        self._tables.bell.ring([f"+{queue}"])
        return len(stopped)

    async def shapes(self, app: str) -> list[Fingerprint]:
        """The shapes of an app's classes, as they were last kept."""
        await trio.lowlevel.checkpoint()
        return [shape for (owner, *_), shape in self._tables.shapes.items() if owner == app]

    async def keep_shapes(self, app: str, shapes: Sequence[Fingerprint]) -> None:
        """Keep the shapes of some of an app's classes, in place of those of the same name and version."""
        await trio.lowlevel.checkpoint()
        for shape in shapes:
            self._tables.shapes[app, shape.kind, shape.name, shape.version] = shape

    async def holds(self, kind: Literal["event", "command"], name: str, version: int) -> bool:
        """Whether any event, or any message that was not handled, has this stored name and version."""
        await trio.lowlevel.checkpoint()
        tables = self._tables
        if kind == "event":
            return tables.journal.holds(name, version)
        waiting = [*tables.mailbox.everything(), *(message for _, _, message in tables.scheduled)]
        buried = [each.message for each in tables.dead.values()]
        return any((each.type, each.version) == (name, version) for each in (*waiting, *buried))

    async def dead_letters(self, queue: str | None, most: int) -> list[DeadLetter]:
        """The newest dead letters, of one queue or of all."""
        await trio.lowlevel.checkpoint()
        newest = reversed(self._tables.dead.values())
        return [buried.letter for buried in newest if queue in (None, buried.letter.queue)][:most]

    async def redrive(self, letters: Sequence[int] | None, queue: str | None) -> int:
        """Put dead letters back into their mailboxes; returns how many."""
        await trio.lowlevel.checkpoint()
        dead = self._tables.dead
        wanted = [
            number
            for number, buried in dead.items()
            if (letters is None or number in letters) and queue in (None, buried.letter.queue)
        ]
        messages = [dead.pop(number).message for number in wanted]
        self._arrive([evolve(message, attempts=0, last_error=None, not_before=0.0) for message in messages])
        if messages:
            self._tables.bell.ring([queue or "*"])
        return len(messages)

    async def send(
        self, connection: Any, sends: Sequence[SendRow], parts: Sequence[CommitPart], rings: Sequence[Ring]
    ) -> None:
        """Send messages inside the caller's own transaction."""
        await trio.lowlevel.checkpoint()
        if not isinstance(connection, MemoryTransaction):
            raise TypeError(
                f"connection={connection!r} is no transaction of the in-memory store:"
                " take one from `async with store.transaction() as connection`"
            )
        connection.send(sends, parts, rings)

    def on_forgotten(self, announce: Callable[[ServerForgot], None]) -> None:
        """It forgets nothing."""
        del announce

    def tell(self, troubles: Troubles) -> None:
        """Nothing in it is tried again."""
        del troubles

    def is_shortage(self, error: BaseException) -> bool:
        """It lacks nothing."""
        del error
        return False

    def has_ended(self, connection: Any) -> bool:
        """Say whether a transaction that `send` was given is over."""
        return bool(connection.is_over)

    def _arrive(self, messages: Sequence[Stored]) -> None:
        """Put messages into the mailbox in a transaction of their own."""
        tx = self._tables.begin()
        for message in messages:
            self._tables.mailbox.add(evolve(message, tx=tx))
        self._tables.end(tx)
