"""The store over PostgreSQL."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC
from functools import partial
from typing import Any, Literal, final

import psycopg
import trio
from attrs import define, field
from psycopg.pq import TransactionStatus

from rolebook.actors import Fingerprint

from .._settings import Settings
from ..contract import (
    MOST_BYTES,
    CommitPart,
    DeadLetter,
    Elsewhere,
    Ending,
    EventPage,
    LinkCut,
    Promoted,
    RecordedEvent,
    Ring,
    SendRow,
    ServerForgot,
    StoppedKey,
    Stream,
    Troubles,
    Untold,
)
from ._arrays import numbers, texts
from ._batch import parts_document, ring_columns, send_columns
from ._certain import execute_certainly
from ._connection import Connection
from ._faults import Fault, fault_of, is_shortage
from ._fetching import PostgresFetchSession, hold_number
from ._listening import PostgresListenSession, channel_of
from ._markers import Markers
from ._migrating import SchemaError, read_partitions
from ._misfit import explaining_misfits
from ._outcome import FAILURES, Certainty
from ._pool import Pool
from ._routes import Routes
from ._session import connect_session
from ._statements import Statements
from ._streams import ALL_LARGE, small_rows, stream_columns, streams_of
from ._surveying import survey
from ._turn_transaction import PostgresTurnTransaction, open_turn_transaction
from ._whereabouts import Whereabouts
from ._writing import PostgresWriteSession

_log = logging.getLogger("rolebook")

ONE_PLAN = """
set plan_cache_mode = force_generic_plan;
set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off; set enable_mergejoin = off
"""
"""For the session that reads the mailbox, whose statistics are wrong most of the time: it is empty
one moment and holds a million rows the next. Index scans in the order of the index are right for both."""


@final
@define(eq=False)
class PostgresStore:
    """A journal, a mailbox and a referee in one schema of one database.

    Attributes:
        pool: For handlers that want a transaction, and for callers.
        readers: For the runtime's own short reads: handlers that keep every
            connection of `pool` for long keep no actor from being loaded.
        direct_url: Where session locks and notifications work: the same as `url`
            unless a pooler is in between.
        routes: What was found on the ways to the two.
        ending: Of the runtime: no connection takes longer than that to close.
    """

    url: str
    direct_url: str
    settings: Settings
    process: str
    pool: Pool[Connection]
    readers: Pool[Connection]
    statements: Statements
    partitions: int
    whereabouts: Whereabouts
    routes: Routes
    ending: Ending | None = None
    _markers: Markers = field(factory=Markers)
    _troubles: Troubles = field(factory=Untold)

    @asynccontextmanager
    async def open_fetch_session(self, owner: str, life: int) -> AsyncGenerator[PostgresFetchSession]:
        """Open the session that owns partitions. They are free again when it ends."""
        connection = await self._connect_directly(
            "fetcher", idle_session_timeout=self.settings.idle_session_timeout, prepare_threshold=0
        )
        with explaining_misfits(self.settings.schema):
            async with connection:
                await connection.execute(ONE_PLAN, prepare=False)
                nonce = await self._begin_session(connection)
                yield PostgresFetchSession(connection, self.statements, owner, life, nonce)

    async def _begin_session(self, connection: Connection) -> int:
        """Begin what everything else of this process stands on, and return its number.

        Raises:
            ServerForgot: Acknowledged commits of this process are not there.
        """
        nonce = await hold_number(connection)
        # Whatever has been opened may lead to a server that has been left since.
        await self.pool.renew()
        await self.readers.renew()
        await self._markers.check(connection, self.statements)
        partitions = await read_partitions(connection, schema=self.settings.schema)
        if partitions != self.partitions:
            raise SchemaError(
                f"the queues have {partitions} partitions now, and had {self.partitions} when this process"
                " started: restart it"
            )
        return nonce

    @asynccontextmanager
    async def open_write_session(self) -> AsyncGenerator[PostgresWriteSession]:
        """Open the writer's session."""
        session = PostgresWriteSession(self._certainty("writer", self.routes.prepares_at_once))
        try:
            with explaining_misfits(self.settings.schema):
                yield session
        finally:
            await session.close()

    @asynccontextmanager
    async def open_listen_session(self, life: int) -> AsyncGenerator[PostgresListenSession]:
        """Open the listening session."""
        async with await self._connect_directly("listener") as connection:
            channels = (self.settings.schema, channel_of(life))
            yield PostgresListenSession(
                connection,
                channels,
                self.settings.health_deadline,
                begin=self._begin_session,
                look_around=self._look_around,
            )

    async def _look_around(self, connection: Connection) -> None:
        """Look whether another server has taken over from the one that a connection leads to.

        Raises:
            LeftBehind: One has.
        """
        patience = self.settings.health_deadline
        url, ending = self.direct_url, self.ending
        if await survey(url, self.process, self.whereabouts, patience=patience, ending=ending):
            await self.whereabouts.check(connection)

    def open_turn_transaction(self) -> AbstractAsyncContextManager[PostgresTurnTransaction]:
        """Begin a transaction for one turn; leaving without `commit` rolls back."""
        return open_turn_transaction(self.pool, self._certainty("outcome", self.routes.prepares_later))

    def _certainty(self, role: str, prepare_threshold: int | None) -> Certainty:
        return Certainty(
            role=role,
            connect=partial(self._connect, role=role, prepare_threshold=prepare_threshold),
            statements=self.statements,
            markers=self._markers,
            schema=self.settings.schema,
            deadline=self.settings.command_deadline,
            backoff=self.settings.backoff,
            troubles=self._troubles,
        )

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
        """Load some actors' streams in one query."""
        if not after:
            return {}
        columns = stream_columns(after)
        most_small = min(most, small_rows(len(after), most_bytes))
        rows = ALL_LARGE
        if most_small > 0:
            rows = await self._rows("load_streams", (actor, state_version, nonce, *columns, most_small))
        if rows and rows[0] == ALL_LARGE[0]:
            bounds = (most, most_bytes // len(after), most_bytes)
            rows = await self._rows("load_large_streams", (actor, state_version, *bounds, nonce, *columns))
        if not rows:
            raise Elsewhere("the session that this load stands on does not live on this server")
        return streams_of(rows)

    async def keys(self, actor: str, after: str, most: int) -> list[str]:
        """Read one page of the keys of actors that have events, in the store's order, after one of them."""
        return [key for (key,) in await self._rows("keys", (actor, after, most))]

    async def read_events(
        self, actor: str, key: str, after: int, most: int, most_bytes: int = MOST_BYTES
    ) -> EventPage:
        """Read one page of an actor's journal."""
        rows = await self._rows("read_events", (actor, key, after, most, most_bytes))
        more = len(rows) == most or (bool(rows) and rows[-1][3] is None)
        # A pooler's session may have another time zone than UTC.
        events = [
            RecordedEvent(seq, type_, version, payload, metadata, at.astimezone(UTC))
            for seq, type_, version, payload, metadata, at in rows
            if payload is not None
        ]
        return EventPage(events, more)

    async def pending(self, queues: Sequence[str]) -> bool:
        """Whether any of these queues has a message that is due."""
        names = texts(list(queues))
        return bool((await self._rows("pending", (names, names)))[0][0])

    async def served(self, queue: str) -> bool:
        """Whether any process has ever run this queue."""
        return bool((await self._rows("served", (queue,)))[0][0])

    async def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages each of these queues holds, those that wait for a retry included."""
        counted: dict[str, int] = dict(await self._rows("depths", (texts(list(queues)),)))
        return {queue: counted.get(queue, 0) for queue in queues}

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection for the caller's own SQL."""
        return self.pool.connection()

    async def promote_due(self, most: int) -> Promoted:
        """Move what is due into the mailbox."""
        queues, next_due = (await self._rows("promote_due", (most,)))[0]
        return Promoted(queues or (), next_due)

    async def outcome(self, ask: str) -> str | None:
        """The stored outcome of a remote ask, if there is one."""
        rows = await self._answer("take_outcome", (ask,), certainly=True)
        return rows[0][0] if rows else None

    async def has_question(self, queue: str, key: str, ask: str) -> bool:
        """Whether a remote ask is still in the mailbox."""
        return bool((await self._answer("has_question", (queue, key, ask)))[0][0])

    async def _answer(
        self, statement: str, parameters: tuple[Any, ...], *, certainly: bool = False
    ) -> list[tuple[Any, ...]]:
        """Look for what was asked; a look that got no answer does not change what becomes of that."""
        attempt, certainty = 0, self._certainty("replies", None)
        with certainty.trying():
            while True:
                try:
                    return await self._rows(statement, parameters, certainly=certainly)
                except FAILURES as error:
                    if fault_of(error) in {Fault.DATA, Fault.PROGRAM}:
                        raise
                    attempt += 1
                    await certainty.pause(error, attempt)

    async def depth(self, queue: str, most: int) -> int:
        """How many messages a queue holds, counted no further than `most`."""
        return int((await self._rows("depth", (queue, most)))[0][0])

    async def stopped(self, queues: Sequence[str]) -> list[StoppedKey]:
        """The keys of these queues whose first message waits to be resumed."""
        return [StoppedKey.of_row(*row) for row in await self._rows("stopped", (texts(list(queues)),))]

    async def resume(self, queue: str, key: str) -> int:
        """Let the messages of a stopped key be tried again, and tell its owner; returns how many waited."""
        return int((await self._rows("resume", (queue, key)))[0][0])

    async def shapes(self, app: str) -> list[Fingerprint]:
        """The shapes of an app's classes, as they were last kept."""
        return [Fingerprint(*shape) for owner, *shape in await self._rows("shapes", ()) if owner == app]

    async def keep_shapes(self, app: str, shapes: Sequence[Fingerprint]) -> None:
        """Keep the shapes of some of an app's classes, in place of those of the same name and version."""
        if not shapes:
            return
        columns = (
            texts([each.kind for each in shapes]),
            texts([each.name for each in shapes]),
            numbers([each.version for each in shapes]),
            texts([each.shape for each in shapes]),
        )
        async with self.pool.connection() as connection:
            await connection.execute(self.statements["keep_shapes"], (app, *columns))

    async def holds(self, kind: Literal["event", "command"], name: str, version: int) -> bool:
        """Whether any event, or any message that was not handled, has this stored name and version."""
        times = 1 if kind == "event" else 3
        return bool((await self._rows(f"holds_{kind}", (name, version) * times))[0][0])

    async def dead_letters(self, queue: str | None, most: int) -> list[DeadLetter]:
        """The newest dead letters, of one queue or of all."""
        return [DeadLetter(*row) for row in await self._rows("dead_letters", (queue, queue, most))]

    async def redrive(self, letters: Sequence[int] | None, queue: str | None) -> int:
        """Put dead letters back into their mailboxes; returns how many."""
        wanted = None if letters is None else numbers(letters)
        return int((await self._rows("redrive", (wanted, queue)))[0][0])

    async def send(
        self, connection: Any, sends: Sequence[SendRow], parts: Sequence[CommitPart], rings: Sequence[Ring]
    ) -> None:
        """Send messages inside the caller's own transaction."""
        if not isinstance(connection, psycopg.AsyncConnection):
            kind = type(connection).__name__
            raise TypeError(
                f"connection= takes a psycopg connection on Trio, such as `runtime.connection()` lends, not"
                f" {kind}; where there is another, send by SQL: select {self.settings.schema}.tell(...)"
            )
        await connection.execute(
            self.statements["send"],
            (*send_columns(sends), parts_document(parts), *ring_columns(rings)),
        )

    def on_forgotten(self, announce: Callable[[ServerForgot], None]) -> None:
        """Have a function called when it is found that the server forgot, before anything else commits."""
        self._markers.announce = announce

    def tell(self, troubles: Troubles) -> None:
        """Say who is told of what the store's sessions try again by themselves."""
        self._troubles = troubles

    def is_shortage(self, error: BaseException) -> bool:
        """Whether a turn failed for what the database lacked: no fault of its message's nor of its code's."""
        return isinstance(error, LinkCut) or is_shortage(error)

    def has_ended(self, connection: Any) -> bool:
        """Say whether no transaction is open on a connection that `send` was given."""
        return connection.info.transaction_status in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)

    async def _connect_directly(self, role: str, **settings: Any) -> Connection:
        """Open a session that is ours alone."""
        return await connect_session(
            self.whereabouts.first(self.direct_url),
            role=role,
            process=self.process,
            between=self.routes.direct.between,
            accept=self.whereabouts.check,
            ending=self.ending,
            **settings,
        )

    async def _connect(self, *, role: str, prepare_threshold: int | None) -> Connection:
        """Open a session that need not be ours alone."""
        return await connect_session(
            self.whereabouts.first(self.url),
            role=role,
            process=self.process,
            prepare_threshold=prepare_threshold,
            between=self.routes.shared.between,
            accept=self.whereabouts.check,
            ending=self.ending,
        )

    async def _rows(
        self, statement: str, parameters: tuple[Any, ...], *, certainly: bool = False
    ) -> list[tuple[Any, ...]]:
        """Read some rows; on another connection if the one that was there turns out to be no good."""
        with explaining_misfits(self.settings.schema):
            try:
                return await self._rows_once(statement, parameters, certainly=certainly)
            except psycopg.Error as error:
                if fault_of(error) is not Fault.SESSION:
                    raise
            return await self._rows_once(statement, parameters, certainly=certainly)

    async def _rows_once(
        self, statement: str, parameters: tuple[Any, ...], *, certainly: bool
    ) -> list[tuple[Any, ...]]:
        deadline = self.settings.command_deadline
        with trio.fail_after(deadline):
            async with self.readers.connection() as connection:
                # Not prepared: a plan that was made for small tables would be kept when they have grown.
                if certainly:
                    answer = await execute_certainly(
                        connection, self.statements[statement], parameters, deadline=deadline, prepare=False
                    )
                else:
                    answer = await connection.execute(
                        self.statements[statement], parameters, prepare=False, binary=True
                    )
                return await answer.fetchall()
