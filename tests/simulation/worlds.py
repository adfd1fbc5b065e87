"""The stores that programs run on, what is done to them, and stores with a bug planted in them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, final

import trio
from attrs import define, evolve

from tests.stores import empty
from understudy.runtime import MemoryStore
from understudy.runtime._finished import Finished
from understudy.runtime._rows import CommitResult, StoredSnapshot, Stream
from understudy.runtime._store import WriteSession
from understudy.runtime.postgres import Connection

from .steps import Setup, Trouble


class World(Protocol):
    """A store, and what can be done to it from outside."""

    @property
    def database(self) -> Any:
        """What a runtime is opened on."""
        ...

    @property
    def virtual(self) -> bool:
        """Whether its time is virtual."""
        ...

    async def cause(self, trouble: Trouble, process: str) -> None:
        """Break something of a process."""
        ...

    async def scheduled(self) -> int:
        """How many messages wait for a later time."""
        ...


@final
class RoughStore(MemoryStore):
    """A store in memory whose commits take time, and before whose next commit ownership can be lost."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(partitions=4)
        self.muted = setup.muted
        self._stall = setup.stall
        self.lose_next = False

    @asynccontextmanager
    async def open_write_session(self) -> AsyncGenerator[Any]:
        """Open the writer's session."""
        async with super().open_write_session() as session:
            yield _RoughSession(self, session, self._stall)


@define(eq=False)
class _RoughSession:
    store: RoughStore
    session: WriteSession
    stall: float

    async def commit(self, turns: Sequence[Finished], rings: Sequence[str]) -> CommitResult:
        if self.stall:
            await trio.sleep(self.stall)
        if self.store.lose_next:
            self.store.lose_next = False
            for session in list(self.store._sessions):
                session.end()
        return await self.session.commit(turns, rings)


@final
@define(eq=False)
class InMemory:
    """A world in memory, in virtual time."""

    database: MemoryStore
    virtual: bool = True

    async def cause(self, trouble: Trouble, process: str) -> None:
        """End the fetcher's session, now or before the next commit; no other can end."""
        if trouble.what == "commit" and isinstance(self.database, RoughStore):
            self.database.lose_next = True
        else:
            self.database.end_session(process)

    async def scheduled(self) -> int:
        """How many messages wait for a later time."""
        return len(self.database._tables.scheduled)


@final
@define(eq=False)
class OnPostgres:
    """A world in a database, in real time."""

    database: str
    connection: Connection[Any]
    virtual: bool = False

    async def cause(self, trouble: Trouble, process: str) -> None:
        """End a session of the process on the server."""
        role = "fetcher" if trouble.what == "commit" else trouble.what
        await self.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = %s",
            (f"understudy {process} {role}",),
        )

    async def scheduled(self) -> int:
        """How many messages wait for a later time."""
        cursor = await self.connection.execute("select count(*) from understudy.scheduled")
        row = await cursor.fetchone()
        return int(row[0]) if row else 0


class OpenWorld(Protocol):
    """Opens an empty world."""

    def __call__(self, setup: Setup) -> AbstractAsyncContextManager[World]:
        """Open it."""
        ...


@asynccontextmanager
async def in_memory(setup: Setup) -> AsyncGenerator[World]:
    """A world in memory."""
    yield InMemory(RoughStore(setup))


def on_postgres(url: str) -> OpenWorld:
    """Worlds in a migrated database, each emptied first."""

    @asynccontextmanager
    async def opened(setup: Setup) -> AsyncGenerator[World]:
        empty(url)
        connection = await Connection.connect(url, autocommit=True)
        async with connection:
            yield OnPostgres(url, connection)

    return opened


# ---- with a bug ----


@final
class StaleSnapshots(MemoryStore):
    """The bug: an older snapshot is given out under the sequence number of a newer one."""

    def __init__(self) -> None:
        super().__init__(partitions=4)
        self._first: dict[tuple[str, str], StoredSnapshot] = {}

    async def load(
        self, actor: str, state_version: int, after: Mapping[str, int | None], most: int
    ) -> dict[str, Stream]:
        """Load some actors' streams."""
        found = await super().load(actor, state_version, after, most)
        for key, stream in found.items():
            if stream.snapshot is not None:
                first = self._first.setdefault((actor, key), stream.snapshot)
                found[key] = evolve(stream, snapshot=evolve(stream.snapshot, state=first.state))
        return found


@asynccontextmanager
async def with_stale_snapshots(setup: Setup) -> AsyncGenerator[World]:
    """A world with that bug."""
    yield InMemory(StaleSnapshots())
