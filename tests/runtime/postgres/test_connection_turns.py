"""Other tasks get their turn, and cancellations arrive, also when the data is always there."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager

import pytest
import trio
from psycopg.rows import TupleRow
from trio.testing import assert_checkpoints

from rolebook.runtime.postgres import SETTLE_SECONDS, Connection
from rolebook.runtime.postgres._waiting import Breath

from .connections import IDLE, connected, value

Work = Callable[[Connection[TupleRow]], Awaitable[None]]


@asynccontextmanager
async def ticking() -> AsyncGenerator[list[float]]:
    """Count the turns that another task gets inside the block."""
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(trio.current_time())
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await trio.lowlevel.checkpoint()
        yield ticks
        nursery.cancel_scope.cancel()


@pytest.fixture
async def listener(database_url: str) -> AsyncGenerator[Connection[TupleRow]]:
    """A connection that listens to the channel `bell`."""
    async with connected(database_url) as connection:
        await connection.execute("LISTEN bell")
        yield connection


@pytest.mark.parametrize("seconds", [60.0, None])
async def test_notifies_gives_way_under_steady_traffic(
    database_url: str, listener: Connection[TupleRow], seconds: float | None
) -> None:
    """Each round of notifications is a checkpoint, though they are there before they are asked for."""
    async with connected(database_url) as sender, aclosing(listener.notifies(timeout=seconds)) as heard:
        for _ in range(5):
            await sender.execute("NOTIFY bell")
            await trio.lowlevel.wait_readable(listener.fileno())
            with assert_checkpoints():
                await anext(heard)


@pytest.mark.parametrize("seconds", [60.0, 0.0, None])
async def test_a_cancelled_notifies_ends_though_more_has_come(
    database_url: str, listener: Connection[TupleRow], seconds: float | None
) -> None:
    """A cancellation is not kept out by notifications that are there, and they are not lost to it."""
    async with connected(database_url) as sender:
        await sender.execute("NOTIFY bell")
        await trio.lowlevel.wait_readable(listener.fileno())
        with trio.CancelScope() as scope:
            scope.cancel()
            async for _ in listener.notifies(timeout=seconds):
                pytest.fail("a task that is cancelled heard something")
        assert scope.cancelled_caught
        assert len([n async for n in listener.notifies(timeout=5, stop_after=1)]) == 1


def always(_: Breath) -> bool:
    """A driver that has been busy for too long."""
    return True


async def test_each_thread_gives_way_on_its_own() -> None:
    """A Trio loop in another thread that has just given way has not done so for this one."""
    breath = Breath()
    assert breath.is_due()
    await trio.to_thread.run_sync(breath.taken)
    assert breath.is_due()


async def fetch_one(connection: Connection[TupleRow]) -> None:
    cursor = await connection.execute("SELECT generate_series(1, 1000)")
    while await cursor.fetchone():
        pass


async def fetch_many(connection: Connection[TupleRow]) -> None:
    cursor = await connection.execute("SELECT generate_series(1, 1000)")
    while await cursor.fetchmany(1):
        pass


async def iterate(connection: Connection[TupleRow]) -> None:
    async for _ in await connection.execute("SELECT generate_series(1, 1000)"):
        pass


async def iterate_pages(connection: Connection[TupleRow]) -> None:
    async with connection.transaction(), connection.cursor("pages") as cursor:
        cursor.itersize = 1
        await cursor.execute("SELECT generate_series(1, 1000)")
        async for _ in cursor:
            pass


async def stream(connection: Connection[TupleRow]) -> None:
    async for _ in connection.cursor().stream("SELECT generate_series(1, 1000)"):
        pass


async def copy_out(connection: Connection[TupleRow]) -> None:
    async with connection.cursor().copy("COPY (SELECT generate_series(1, 1000)) TO STDOUT") as copy:
        async for _ in copy:
            pass


async def copy_in(connection: Connection[TupleRow]) -> None:
    async with connection.cursor().copy("COPY t FROM STDIN") as copy:
        for _ in range(1000):
            await copy.write("1\n")


async def pipe(connection: Connection[TupleRow]) -> None:
    async with connection.pipeline():
        for _ in range(1000):
            await connection.execute("INSERT INTO t VALUES (1)")


async def execute_many(connection: Connection[TupleRow]) -> None:
    await connection.cursor().executemany("INSERT INTO t VALUES (%s)", [(1,)] * 1000)


@pytest.mark.parametrize(
    "work", [fetch_one, fetch_many, iterate, iterate_pages, stream, copy_out, copy_in, pipe, execute_many]
)
async def test_every_loop_gives_way(database_url: str, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine so slow that each step is long enough, a thousand steps are as many turns for others."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        monkeypatch.setattr(Breath, "is_due", always)
        async with ticking() as ticks:
            before = len(ticks)
            await work(connection)
            assert len(ticks) - before >= 900


def endless() -> Iterator[tuple[int]]:
    """Rows without end."""
    while True:
        yield (1,)


@pytest.mark.parametrize("inside", ["nothing", "pipeline", "transaction"])
async def test_a_cancelled_executemany_takes_no_more_rows(database_url: str, inside: str) -> None:
    """It stops where it is, though the server takes every row, and leaves the connection as it was."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        start = trio.current_time()
        taken = 0

        def rows() -> Iterator[tuple[int]]:
            nonlocal taken
            for row in endless():
                taken += 1
                if taken == 20_000:
                    scope.cancel()
                yield row

        with trio.CancelScope() as scope:
            if inside == "nothing":
                await connection.cursor().executemany("INSERT INTO t VALUES (%s)", rows())
            elif inside == "pipeline":
                async with connection.pipeline():
                    await connection.cursor().executemany("INSERT INTO t VALUES (%s)", rows())
            else:
                async with connection.transaction():
                    await connection.cursor().executemany("INSERT INTO t VALUES (%s)", rows())
        assert scope.cancelled_caught
        assert trio.current_time() - start < SETTLE_SECONDS
        assert not connection.closed
        assert connection.info.transaction_status == IDLE
        assert taken < 100_000
        stayed = await value(connection, "SELECT count(*) FROM t")
        assert stayed == 0 if inside == "transaction" else stayed <= taken
        await connection.cursor().executemany("INSERT INTO t VALUES (%s)", [(1,)] * 3)
        assert await value(connection, "SELECT count(*) FROM t") == stayed + 3
