"""The stores that programs run on, what is done to them, and stores with a bug planted in them."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, final

import trio
from attrs import define, evolve, frozen

from rolebook.runtime import MemoryStore
from rolebook.runtime.contract import (
    MOST_BYTES,
    CommitResult,
    CommitUnit,
    Cursor,
    Fence,
    Fetched,
    FetchSession,
    Member,
    MessagePart,
    Place,
    Ring,
    StoredSnapshot,
    Stream,
    Suspect,
    Taken,
    TrialRow,
    Vacancy,
    WriteSession,
)
from rolebook.runtime.memory import MemoryTransaction
from rolebook.runtime.memory._tables import Tables
from rolebook.runtime.postgres import Connection
from tests.lending import empty

from .cast import DESK, KINDS, RELAY
from .steps import Setup, Trouble

QUEUES = (*KINDS, RELAY, DESK)


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

    async def at_rest(self) -> bool:
        """Whether no message is left, due or for a later time, as of one moment."""
        ...

    async def resume(self) -> None:
        """Let every parked key go on."""
        ...

    def now(self) -> float:
        """The time of the store's clock."""
        ...


class RoughStore(MemoryStore):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues] # closed to users, opened to plant faults
    """A store in memory whose commits, reads and takes need time; before a commit ownership can be lost."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(partitions=4)
        self.muted = setup.muted
        self._stall = setup.stall
        self._slow = setup.slow
        self.lose_next = False

    @property
    def tables(self) -> Tables:
        """What it holds."""
        return self._tables

    def end_sessions(self) -> None:
        """Let every process lose its right to handle anything."""
        for session in list(self._sessions):
            session.end()

    @asynccontextmanager
    async def open_fetch_session(self, owner: str, life: int) -> AsyncGenerator[Any]:
        """Open the session that owns partitions."""
        async with super().open_fetch_session(owner, life) as session:
            yield _SlowSession(session, self._slow)

    @asynccontextmanager
    async def open_write_session(self) -> AsyncGenerator[Any]:
        """Open the writer's session."""
        async with super().open_write_session() as session:
            yield _RoughSession(self, session, self._stall)


@define(eq=False)
class _SlowSession:
    """Takes its time before it does something, and before it says so."""

    session: FetchSession
    slow: float

    async def take(self, partitions: Sequence[tuple[str, int]]) -> list[Taken]:
        async with self._slowly():
            return await self.session.take(partitions)

    async def suspects(self, ids: Sequence[int]) -> dict[int, Suspect]:
        return await self.session.suspects(ids)

    @property
    def nonce(self) -> int:
        return self.session.nonce

    async def begin_trials(self, trials: Sequence[TrialRow]) -> None:
        async with self._slowly():
            await self.session.begin_trials(trials)

    async def end_care(self, fences: Sequence[Fence]) -> None:
        await self.session.end_care(fences)

    async def prepare(self, queues: Sequence[str]) -> None:
        await self.session.prepare(queues)

    async def join(self, queues: Sequence[str]) -> None:
        await self.session.join(queues)

    async def members(self) -> Sequence[Member]:
        async with self._slowly():
            return await self.session.members()

    async def vacancies(self, queues: Sequence[str]) -> list[Vacancy]:
        async with self._slowly():
            return await self.session.vacancies(queues)

    async def release(self, fences: Sequence[Fence]) -> list[Fence]:
        async with self._slowly():
            return await self.session.release(fences)

    async def read(
        self, cursors: Sequence[Cursor], rooms: Sequence[int], most_bytes: int = MOST_BYTES
    ) -> Fetched:
        async with self._slowly():
            return await self.session.read(cursors, rooms, most_bytes)

    async def stay_awake(self) -> bool:
        async with self._slowly():
            return await self.session.stay_awake()

    async def fall_asleep(self) -> None:
        async with self._slowly():
            await self.session.fall_asleep()

    @asynccontextmanager
    async def _slowly(self) -> AsyncGenerator[None]:
        if self.slow:
            await trio.sleep(self.slow)
        yield
        if self.slow:
            await trio.sleep(self.slow)


@define(eq=False)
class _RoughSession:
    store: RoughStore
    session: WriteSession
    stall: float

    async def renew(self) -> None:
        """There is one server only."""

    async def commit(
        self, units: Sequence[CommitUnit], rings: Sequence[Ring], nonce: int | None
    ) -> CommitResult:
        if self.store.lose_next:
            self.store.lose_next = False
            self.store.end_sessions()
        if self.stall:  # time enough for somebody else to handle the same messages
            await trio.sleep(self.stall)
        return await self.session.commit(units, rings, nonce)


@final
@define(eq=False)
class InMemory:
    """A world in memory, in virtual time."""

    database: RoughStore
    virtual: bool = True

    async def cause(self, trouble: Trouble, process: str) -> None:
        """End the fetcher's session, now or before the next commit; no other can end."""
        if trouble.what == "commit":
            self.database.lose_next = True
        else:
            self.database.end_session(process)

    async def at_rest(self) -> bool:
        """Whether no message is left."""
        tables = self.database.tables
        return not tables.scheduled and not any(tables.mailbox.depth(queue) for queue in QUEUES)

    async def resume(self) -> None:
        """Let every parked key go on."""
        for stopped in await self.database.stopped(QUEUES):
            await self.database.resume(stopped.queue, stopped.key)

    def now(self) -> float:
        """The time of the store's clock."""
        return self.database.tables.time.now()


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
            (f"rolebook {process} {role}",),
        )

    async def at_rest(self) -> bool:
        """Whether no message is left; in one statement, for the scheduler moves them from table to table."""
        cursor = await self.connection.execute(
            "select not exists (select from rolebook.messages)"
            " and not exists (select from rolebook.scheduled)"
        )
        return await cursor.fetchone() == (True,)

    async def resume(self) -> None:
        """Let every parked key go on."""
        await self.connection.execute(
            "select rolebook.resume(queue, key) from"
            " (select distinct queue, key from rolebook.messages where not_before = 'infinity') as parked"
        )

    def now(self) -> float:
        """The time of the server's clock, which is this machine's."""
        return time.time()


@final
@frozen
class Worlds:
    """A kind of worlds.

    Attributes:
        open: Opens an empty one.
        virtual: Whether their time is virtual.
    """

    open: Callable[[Setup], AbstractAsyncContextManager[World]]
    virtual: bool = True


@asynccontextmanager
async def _open_in_memory(setup: Setup) -> AsyncGenerator[World]:
    yield InMemory(RoughStore(setup))


IN_MEMORY = Worlds(_open_in_memory)


def on_postgres(url: str) -> Worlds:
    """Worlds in a migrated database, each emptied first."""

    @asynccontextmanager
    async def opened(setup: Setup) -> AsyncGenerator[World]:
        await trio.to_thread.run_sync(empty, url)
        connection = await Connection.connect(url, autocommit=True)
        async with connection:
            yield OnPostgres(url, connection)

    return Worlds(opened, virtual=False)


# ---- with a bug ----


@final
class StaleSnapshots(RoughStore):  # type: ignore[misc] # as above
    """The bug: an actor's first snapshot is given out under the sequence numbers of its later ones."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._first: dict[tuple[str, str], StoredSnapshot] = {}

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
        found = await super().load(actor, state_version, after, most, most_bytes, nonce=nonce)
        for key, stream in found.items():
            if stream.snapshot is not None:
                first = self._first.setdefault((actor, key), stream.snapshot)
                found[key] = evolve(stream, snapshot=evolve(stream.snapshot, state=first.state))
        return found


@asynccontextmanager
async def _open_stale(setup: Setup) -> AsyncGenerator[World]:
    yield InMemory(StaleSnapshots(setup))


WITH_STALE_SNAPSHOTS = Worlds(_open_stale)


@final
@define(eq=False)
class _BlindTransaction(MemoryTransaction):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues] # closed to users, opened to plant faults
    """The bug: neither the right to handle a message nor its presence is looked at."""

    def _check(self) -> None:
        taken = set[int]()
        for unit in self._units:
            if unit.consumed is not None and not self._is_there(unit.consumed.place, taken):
                unit.consumed = None
        self._parts = [
            part
            for part in self._parts
            if not isinstance(part, MessagePart) or self._is_there(part.place, taken)
        ]

    def _is_there(self, place: Place, taken: set[int]) -> bool:
        if self._tables.mailbox.find(place) is None or place.id in taken:
            return False
        taken.add(place.id)
        return True


@final
@define(eq=False)
class _BlindSession:
    store: RoughStore
    commits: int = 0

    async def renew(self) -> None:
        """There is one server only."""

    async def commit(
        self, units: Sequence[CommitUnit], rings: Sequence[Ring], nonce: int | None
    ) -> CommitResult:
        """Commit whatever comes, and lose the right to every third."""
        self.commits += 1
        del nonce
        self.store.lose_next = self.commits % 3 == 0
        transaction = _BlindTransaction(self.store.tables)
        transaction.send((), (), rings)
        transaction.finish(units)
        return transaction.commit()


@final
class BlindStore(RoughStore):  # type: ignore[misc] # as above
    """The bug: it commits the turns of a process that has lost the right to handle them."""

    @asynccontextmanager
    async def open_write_session(self) -> AsyncGenerator[Any]:
        """Open the writer's session."""
        yield _RoughSession(self, _BlindSession(self), 0.05)


@asynccontextmanager
async def _open_blind(setup: Setup) -> AsyncGenerator[World]:
    yield InMemory(BlindStore(setup))


WITH_A_BLIND_STORE = Worlds(_open_blind)
