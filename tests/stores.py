"""Both stores behind one bench, and short ways to write what the store's tests need."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, final
from zlib import crc32

import trio
from attrs import define, field, frozen

from rolebook.runtime import MemoryStore, Settings
from rolebook.runtime.contract import (
    MOST_BYTES,
    CommitUnit,
    Cursor,
    EventRow,
    Fence,
    FetchedRow,
    FetchSession,
    KeepSnapshot,
    Lane,
    ListenSession,
    Message,
    MessagePart,
    Ring,
    SendRow,
    Settled,
    Store,
    partition_of_key,
)
from rolebook.runtime.memory import MemoryTransaction
from rolebook.runtime.postgres import Connection, connect_session, migrate, open_store
from rolebook.runtime.postgres._store import PostgresStore
from rolebook.runtime.system._mailbox import messages
from tests.databases import create_database

PARTITIONS = 4
EVERYWHERE = range(PARTITIONS)
FETCHERS = """
select pid from pg_stat_activity where datname = current_database() and application_name like '% fetcher'
"""
SETTINGS = Settings(partitions=PARTITIONS, pool_size=3, command_deadline=10.0)


class Client(Protocol):
    """An open transaction of somebody else's."""

    @property
    def connection(self) -> Any:
        """What goes into `connection=`."""
        ...

    async def commit(self) -> None:
        """Commit it."""
        ...

    async def roll_back(self) -> None:
        """Undo it."""
        ...


class Bench(Protocol):
    """A store with what its tests do to it from outside."""

    @property
    def store(self) -> Store:
        """The store."""
        ...

    async def begin(self) -> Client:
        """Open a transaction beside those that are open already."""
        ...

    async def end_session(self, owner: str) -> None:
        """End a fetch session as the server would."""
        ...

    async def sessions_ended(self) -> None:
        """Wait until fetch sessions that were closed have ended for the server too; none is open any more."""
        ...


@final
@frozen
class MemoryClient:
    """A transaction in memory."""

    connection: MemoryTransaction

    async def commit(self) -> None:
        self.connection.commit()

    async def roll_back(self) -> None:
        self.connection.roll_back()


@final
@frozen
class MemoryBench:
    """The in-memory store."""

    store: MemoryStore

    async def begin(self) -> MemoryClient:
        return MemoryClient(self.store.begin())

    async def end_session(self, owner: str) -> None:
        self.store.end_session(owner)

    async def sessions_ended(self) -> None:
        """They have when they are closed."""


@final
@frozen
class PostgresClient:
    """A transaction on a connection of its own, which goes back to the bench afterwards."""

    connection: Connection
    free: list[Connection]

    async def commit(self) -> None:
        await self.connection.execute("commit")
        self.free.append(self.connection)

    async def roll_back(self) -> None:
        await self.connection.execute("rollback")
        self.free.append(self.connection)


@final
@define(eq=False)
class PostgresBench:
    """A database of the test's own."""

    store: PostgresStore
    stack: AsyncExitStack
    free: list[Connection] = field(factory=list[Connection])

    async def begin(self) -> PostgresClient:
        connection = self.free.pop() if self.free else await self.connect("client")
        await connection.execute("begin")
        return PostgresClient(connection, self.free)

    async def end_session(self, owner: str) -> None:
        """Kill the fetcher's backend, and wait until it has gone."""
        del owner  # a bench has one process name: all its fetchers but those of other stores
        admin = await self.connect("admin")
        await admin.execute(f"select pg_terminate_backend(pid, 5000) from ({FETCHERS}) as fetcher".encode())

    async def sessions_ended(self) -> None:
        """A backend frees its locks a moment after its client has gone, and is listed until it has."""
        admin = await self.connect("admin")
        with trio.fail_after(10):
            while await execute(admin, FETCHERS):
                pass

    async def connect(self, role: str) -> Connection:
        """A connection until the end of the test."""
        connection = await connect_session(self.store.url, role=role, process="bench")
        await self.stack.enter_async_context(connection)
        return connection


@asynccontextmanager
async def open_memory_bench() -> AsyncGenerator[MemoryBench]:
    """A store in memory."""
    yield MemoryBench(MemoryStore(partitions=PARTITIONS))


@asynccontextmanager
async def open_postgres_bench(url: str, settings: Settings = SETTINGS) -> AsyncGenerator[PostgresBench]:
    """A store on a migrated database."""
    async with AsyncExitStack() as stack, open_store(url, settings, "bench") as store:
        yield PostgresBench(store, stack)


def create_migrated(admin_url: str, partitions: int = PARTITIONS) -> str:
    """Create a database with the runtime's schema, and return its URL."""
    url = create_database(admin_url)

    async def fill() -> None:
        async with await connect_session(url, role="setup", process="tests") as connection:
            await migrate(connection, schema="rolebook", partitions=partitions)

    trio.run(fill)
    return url


# ---- rows ----

QUEUE = "mail"


def send_row(
    number: int, key: str | None = "k", *, queue: str = QUEUE, priority: int = 0, headers: str | None = None
) -> SendRow:
    """A message whose payload is a number."""
    partition = number % PARTITIONS if key is None else partition_of_key(key, PARTITIONS)
    return SendRow(queue, partition, priority, key, "count", 1, str(number), headers)


def event_row(seq: int, key: str = "a", *, actor: str = "account", payload: str | None = None) -> EventRow:
    """An event whose payload tells its place."""
    return EventRow(actor, key, seq, "happened", 1, payload or f'{{"seq":{seq}}}', '{"by":"test"}')


def finished(**parts: Any) -> CommitUnit:
    """A finished turn that nobody waits for."""
    origin, _ = trio.open_memory_channel[Settled](math.inf)
    return CommitUnit(origin, **parts)


def retry_part(kind: type[MessagePart], message: Message, **more: Any) -> MessagePart:
    """What a failed turn leaves."""
    return kind(place=message.place, attempts=message.attempts + 1, error="it failed", **more)


def snapshot_part(
    seq: int, *, keep: int = 1, version: int = 1, key: str = "a", state: str | None = None
) -> KeepSnapshot:
    """A snapshot of the actor of `event_row`."""
    return KeepSnapshot("account", key, seq, version, state or f'{{"seq":{seq}}}', keep)


def numbers(rows: Iterable[FetchedRow]) -> list[int]:
    """The payloads of some rows, as numbers."""
    return [int(row.payload) for row in rows]


# ---- doing ----


@final
class Reader:
    """Reads lanes as the fetcher does: a cursor each."""

    def __init__(self, session: FetchSession, *lanes: Lane) -> None:
        self.session = session
        self.cursors = [Cursor(lane) for lane in lanes or [Lane(QUEUE, 0, EVERYWHERE)]]

    async def read_lanes(self, room: int = 100, most_bytes: int = MOST_BYTES) -> list[list[FetchedRow]]:
        """One look, and the rows of each lane."""
        look = await self.session.read(self.cursors, [room] * len(self.cursors), most_bytes)
        for place, rows in enumerate(look.rows):
            last = (rows[-1].tx, rows[-1].id) if rows else None
            full = len(rows) >= room or place in look.cut
            self.cursors[place] = self.cursors[place].advance(look.seen, last, full=full)
        return [list(rows) for rows in look.rows]

    async def read(self, room: int = 100) -> list[FetchedRow]:
        """One look, and its rows."""
        return [row for rows in await self.read_lanes(room) for row in rows]

    async def catch_up(self, room: int = 100) -> list[FetchedRow]:
        """Look until everything that is visible has been read."""
        rows = await self.read(room)
        while not all(cursor.caught_up for cursor in self.cursors):
            rows += await self.read(room)
        return rows


@final
@define(eq=False)
class Process:
    """One process's sessions on a store, owning a queue."""

    store: Store
    session: FetchSession
    writer: Any
    fences: dict[int, Fence]

    async def send(self, *sends: SendRow) -> None:
        """Commit some messages."""
        await self.commit(finished(sends=sends))

    async def commit(self, *turns: CommitUnit, rings: Sequence[Ring] = ()) -> Any:
        """Commit some turns as one batch."""
        return await self.writer.commit(turns, rings, nonce_of(*turns))

    async def messages(self, queue: str = QUEUE) -> list[Message]:
        """Everything in the mailbox, read from the beginning."""
        return [
            self.message(row, queue)
            for row in await Reader(self.session, Lane(queue, 0, EVERYWHERE)).catch_up()
        ]

    def message(self, row: FetchedRow, queue: str = QUEUE, priority: int = 0) -> Message:
        """A row as a handler gets it."""
        fence = self.fences.get(row.partition, Fence(queue, row.partition, 0, 0))
        (found,) = messages(Lane(queue, priority, EVERYWHERE), [row], {row.partition: fence})
        return found


def nonce_of(*turns: CommitUnit) -> int | None:
    """The number of the session that some turns stand on, if any of them stands on one."""
    return next((turn.fence.nonce for turn in turns if turn.fence is not None), None)


@asynccontextmanager
async def open_process(store: Store, name: str = "one", queue: str = QUEUE) -> AsyncGenerator[Process]:
    """A process that owns what is free of a queue."""
    async with (
        store.open_fetch_session(name, life_of(name)) as session,
        store.open_write_session() as writer,
    ):
        await session.prepare([queue])
        fences = await take_all(session, queue)
        yield Process(store, session, writer, {fence.partition: fence for fence in fences})


@asynccontextmanager
async def fetching(bench: Bench, process: str) -> AsyncGenerator[FetchSession]:
    """The only fetch session; when the block is left it has ended for the server as well.

    Without the wait the next session may look while the server still holds the lock of the closed one.
    """
    async with bench.store.open_fetch_session(process, life_of(process)) as session:
        yield session
    await bench.sessions_ended()


def life_of(process: str) -> int:
    """The number of a process of some name."""
    return crc32(process.encode())


async def take_all(session: FetchSession, queue: str = QUEUE) -> list[Fence]:
    """Take what nobody owns of a queue, at once."""
    wanted = [(free.queue, free.partition) for free in await session.vacancies([queue])]
    return [taken.fence for taken in await session.take(wanted)]


async def hear(ear: ListenSession, last: str) -> list[str]:
    """Everything that rings up to a hint that begins so; in short rounds, each listened to until its end."""
    heard: list[str] = []
    with trio.fail_after(10):
        while not any(hint.startswith(last) for hint in heard):
            heard += [hint async for hint in ear.hints(0.02)]
    return heard


class OpenBench(Protocol):
    """How a test that needs several benches, or one in the middle, opens them."""

    def __call__(self) -> AbstractAsyncContextManager[Bench]:
        """Open one."""
        ...


async def execute(connection: Connection, query: str, *params: Any) -> list[tuple[Any, ...]]:
    """The rows of a query of the test's own."""
    cursor = await connection.execute(query.encode(), params or None)
    return await cursor.fetchall() if cursor.description else []
