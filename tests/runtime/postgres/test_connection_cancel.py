"""Cancellation, deadlines and closing: the connection ends up idle or closed, never in between."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TypeVar

import psycopg
import pytest
import trio
import trio.testing
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

from rolebook.runtime.postgres import SETTLE_SECONDS, Connection
from rolebook.runtime.postgres._waiting import Breath, drive
from tests.proxy import Proxy

from .cancelling import CancelAfter
from .connections import IDLE, INERROR, assert_at_rest, connected, until, until_sleeping, value

_T = TypeVar("_T")

SLEEP = "SELECT pg_sleep(60)"
STATE = "SELECT state FROM pg_stat_activity WHERE pid = %s"


@asynccontextmanager
async def cancelled_while_sleeping(
    url: str, connection: Connection[TupleRow], work: Callable[[], Awaitable[object]]
) -> AsyncGenerator[None]:
    """Run `work`, cancel it as soon as the server sleeps in it, and wait for its end before the block."""
    async with connected(url) as observer:
        with trio.fail_after(2 * SETTLE_SECONDS):
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def _() -> None:
                    await work()

                await until_sleeping(observer, connection.info.backend_pid)
                nursery.cancel_scope.cancel()
        yield


async def test_a_cancelled_statement_leaves_the_connection_idle(database_url: str) -> None:
    """The server is told to stop, and the next statement gets its own answer."""
    async with connected(database_url) as connection:
        async with cancelled_while_sleeping(database_url, connection, lambda: connection.execute(SLEEP)):
            assert not connection.closed
            assert connection.info.transaction_status == IDLE
        for n in range(20):
            assert await value(connection, "SELECT %s::int", n) == n


async def test_a_deadline_works_inside(database_url: str) -> None:
    """`fail_after` around a statement ends it on time."""
    async with connected(database_url) as connection:
        start = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(0.05):
                await connection.execute(SLEEP)
        assert trio.current_time() - start < SETTLE_SECONDS
        assert await value(connection, "SELECT 1") == 1


async def test_nothing_is_sent_by_a_cancelled_task(database_url: str) -> None:
    """A task that is already cancelled sends nothing at all."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.execute("INSERT INTO t VALUES (1)")
        assert scope.cancelled_caught
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_a_cancelled_transaction_is_rolled_back(database_url: str) -> None:
    """Leaving a transaction block by cancellation rolls back before the block is left."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")

        async def work() -> None:
            async with connection.transaction():
                await connection.execute("INSERT INTO t VALUES (1)")
                async with connection.transaction():
                    await connection.execute(SLEEP)

        async with cancelled_while_sleeping(database_url, connection, work):
            assert not connection.closed
            assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_a_block_cancelled_between_statements_is_rolled_back(database_url: str) -> None:
    """The task may be cancelled while it waits for something that is not the database."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        with trio.CancelScope() as scope:
            async with connection.transaction():
                await connection.execute("INSERT INTO t VALUES (1)")
                scope.cancel()
                await trio.sleep_forever()
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_a_task_cancelled_before_the_commit_rolls_back(database_url: str) -> None:
    """Cancelled after the last statement and before COMMIT is sent, nothing is committed."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        with trio.CancelScope() as scope:
            async with connection.transaction():
                await connection.execute("INSERT INTO t VALUES (1)")
                scope.cancel()
        assert scope.cancelled_caught
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_a_statement_in_the_callers_transaction(database_url: str) -> None:
    """Without a block of psycopg's the transaction is the caller's, to be rolled back by the caller."""
    async with connected(database_url, autocommit=False) as connection:
        async with cancelled_while_sleeping(database_url, connection, lambda: connection.execute(SLEEP)):
            assert connection.info.transaction_status == INERROR
        await connection.rollback()
        assert await value(connection, "SELECT 1") == 1


async def test_a_cancelled_pipeline_is_synchronised(database_url: str) -> None:
    """A pipeline that is cancelled while the server works is at rest when its block has been left."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")

        async def work() -> None:
            async with connection.pipeline() as pipeline:
                await connection.execute("INSERT INTO t VALUES (1)")
                await connection.execute(SLEEP)
                await connection.execute("INSERT INTO t VALUES (2)")
                await pipeline.sync()

        async with cancelled_while_sleeping(database_url, connection, work):
            assert_at_rest(connection)
        assert not connection.closed
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_a_pipeline_block_left_by_cancellation(database_url: str) -> None:
    """A pipeline whose block is cancelled elsewhere is stopped at the server and synchronised at once."""
    async with connected(database_url) as connection, connected(database_url) as observer:
        with trio.fail_after(SETTLE_SECONDS), trio.CancelScope() as scope:
            async with connection.pipeline() as pipeline:
                await connection.execute("SELECT 1")
                await pipeline.sync()
                await connection.execute(SLEEP)
                await connection.execute("SELECT 2")
                await until_sleeping(observer, connection.info.backend_pid)
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT 1") == 1


async def test_a_cancelled_copy_in_is_undone(database_url: str) -> None:
    """A COPY from the client that is cancelled leaves nothing behind."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        with trio.CancelScope() as scope:
            async with connection.cursor().copy("COPY t FROM STDIN") as copy:
                await copy.write("1\n")
                scope.cancel()
                await trio.sleep_forever()
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_a_cancelled_copy_out_is_read_to_its_end(database_url: str) -> None:
    """A COPY to the client that is cancelled is stopped at the server and drained."""
    async with connected(database_url) as connection:
        with trio.fail_after(SETTLE_SECONDS), trio.CancelScope() as scope:
            async with connection.cursor().copy(
                "COPY (SELECT generate_series(1, 100000000)) TO STDOUT"
            ) as copy:
                async for _ in copy:
                    scope.cancel()
        assert scope.cancelled_caught
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT 1") == 1


async def test_a_cancelled_stream_is_drained(database_url: str) -> None:
    """A row stream that is cancelled between two rows leaves the connection idle."""
    async with connected(database_url) as connection:
        with trio.fail_after(SETTLE_SECONDS), trio.CancelScope() as scope:
            async for _ in connection.cursor().stream("SELECT generate_series(1, 100000000)"):
                scope.cancel()
        assert scope.cancelled_caught
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT 1") == 1


async def test_a_cancelled_server_cursor_is_closed(database_url: str) -> None:
    """A server-side cursor is closed in a cancelled task, without a warning when it is dropped."""
    async with connected(database_url) as connection:
        cursor = connection.cursor("c")
        with trio.CancelScope() as scope:
            async with connection.transaction(), cursor:
                await cursor.execute("SELECT generate_series(1, 10)")
                scope.cancel()
                await cursor.fetchone()
        assert scope.cancelled_caught
        assert cursor.closed
        assert connection.info.transaction_status == IDLE


async def test_a_connection_block_left_by_cancellation_is_closed(database_url: str) -> None:
    """The connection's own block rolls back and closes in a cancelled task."""
    connection = await Connection.connect(database_url)
    with trio.CancelScope() as scope:
        async with connection:
            await connection.execute("CREATE TABLE t (n int)")
            scope.cancel()
            await trio.sleep_forever()
    assert connection.closed
    async with connected(database_url) as observer:
        assert await value(observer, "SELECT to_regclass('t')") is None


async def test_closing_wakes_the_task_that_waits(database_url: str) -> None:
    """`close()` in one task makes the statement of another fail at once, not hang."""
    async with connected(database_url) as connection, connected(database_url) as observer:

        async def wait() -> None:
            with pytest.raises(psycopg.OperationalError, match="closed by another task"):
                await connection.execute(SLEEP)

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await until_sleeping(observer, connection.info.backend_pid)
                await connection.close()
        assert connection.closed


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_a_task_that_waits_for_both_directions(proxy: Proxy, how: str) -> None:
    """A task whose send buffer is full waits to read and to write; closing and cancelling reach it there."""
    async with connected(proxy.url) as connection:
        connection.patience.seconds = 0.05
        proxy.freeze()

        async def send() -> None:
            with pytest.raises(psycopg.OperationalError) if how == "close" else nullcontext():
                await connection.execute("SELECT %s::text", ["x" * 100_000_000])

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                await trio.testing.wait_all_tasks_blocked(0.05)
                if how == "close":
                    await connection.close()
                else:
                    nursery.cancel_scope.cancel()
        assert connection.closed


async def test_a_task_that_waits_for_the_lock_can_be_cancelled(database_url: str) -> None:
    """Cancelled while another task uses the connection, a statement is never sent and nobody is disturbed."""
    async with connected(database_url) as connection, connected(database_url) as observer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(value, connection, SLEEP)
            await until_sleeping(observer, connection.info.backend_pid)
            with trio.move_on_after(0.01) as scope:
                await connection.execute("CREATE TABLE never (n int)")
            assert scope.cancelled_caught
            assert await value(observer, STATE, connection.info.backend_pid) == "active"
            nursery.cancel_scope.cancel()
        assert await value(connection, "SELECT to_regclass('never')") is None


async def test_cancelled_while_connecting_leaves_nothing_behind(database_url: str) -> None:
    """At whatever step of connecting the task is cancelled, no session stays on the server."""
    async with connected(database_url) as observer:
        name = "half-made"
        interrupter = CancelAfter(0)
        while interrupter.fired or interrupter.steps == 0:
            interrupter = CancelAfter(interrupter.steps + 1)
            connection = await interrupter.run(
                lambda: Connection.connect(database_url, application_name=name)
            )
            if connection is not None:
                await connection.close()
        assert interrupter.steps >= 2
        await until(observer, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = %s", name)


async def representative(connection: Connection[TupleRow], listener: Connection[TupleRow]) -> None:
    """A bit of everything, on a table `t` and a channel `bell`."""
    await connection.execute("SELECT %s::int", [1], prepare=True)
    async with connection.transaction():
        await connection.execute("INSERT INTO t VALUES ('pair')")
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES ('pair')")
    async with connection.cursor() as cursor:
        async with connection.transaction():
            await cursor.executemany("INSERT INTO t VALUES (%s)", [("many",)] * 3)
        async with cursor.copy("COPY t FROM STDIN") as copy:
            for _ in range(2):
                await copy.write("copied\n" * 10_000)
        async with cursor.copy("COPY (SELECT 'x' FROM generate_series(1, 20000)) TO STDOUT") as copy:
            assert sum([len(data) async for data in copy]) == 40_000
        assert len([row async for row in cursor.stream("SELECT generate_series(1, 20)")]) == 20
    async with connection.transaction(), connection.cursor("pages") as pages:
        await pages.execute("SELECT generate_series(1, 250)")
        assert len([row async for row in pages]) == 250
    async with connection.pipeline() as pipeline:
        first = await connection.execute("SELECT 1")
        await pipeline.sync()
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES ('piped')")
            await connection.execute("INSERT INTO t VALUES ('piped')")
        assert await first.fetchone() == (1,)
    await connection.execute("NOTIFY bell")
    assert len([n async for n in listener.notifies(timeout=5, stop_after=1)]) == 1


# How many rows of each kind one run of `representative` leaves: all, or none.
WHOLE = {"pair": 2, "many": 3, "copied": 20_000, "piped": 2}


@pytest.mark.parametrize("waking", [False, True], ids=["asleep", "waking"])
async def test_cancelled_at_every_await(database_url: str, waking: bool) -> None:
    """Cancelled at its n-th await, for every n, the workload leaves both connections idle and no halves."""
    async with connected(database_url) as observer:
        await observer.execute("CREATE TABLE t (kind text)")
        interrupter = CancelAfter(0)
        closed = 0
        while interrupter.fired or interrupter.steps == 0:
            interrupter = CancelAfter(interrupter.steps + 1, waking=waking)
            async with connected(database_url) as connection, connected(database_url) as listener:
                await listener.execute("LISTEN bell")
                with trio.fail_after(4 * SETTLE_SECONDS):
                    await interrupter.run(lambda: representative(connection, listener))
                for one in (connection, listener):
                    assert_at_rest(one)
                    if one.closed:
                        closed += 1
                    else:
                        assert [await value(one, "SELECT %s::int", n) for n in range(3)] == [0, 1, 2]
            found = await (await observer.execute("SELECT kind, count(*) FROM t GROUP BY kind")).fetchall()
            assert [(kind, rows) for kind, rows in found if rows != WHOLE[kind]] == []
            await observer.execute("TRUNCATE t")
        assert interrupter.steps > 30
        assert closed == 0


async def piped(connection: Connection[TupleRow]) -> None:
    """Everything that goes through a pipeline."""
    async with connection.pipeline() as pipeline:
        await connection.execute("SELECT 1")
        await pipeline.sync()
        async with connection.transaction():
            await connection.execute("SELECT 2")
    async with connection.transaction():
        await connection.cursor().executemany("SELECT %s::int", [(1,), (2,)], returning=True)


def always(_: Breath) -> bool:
    """A driver that has been busy for too long."""
    return True


async def test_cancelled_wherever_a_busy_machine_gives_way(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is waited for, and only other tasks get their turn, a pipeline is left in order."""
    monkeypatch.setattr(Breath, "is_due", always)
    interrupter = CancelAfter(0)
    while interrupter.fired or interrupter.steps == 0:
        interrupter = CancelAfter(interrupter.steps + 1)
        async with connected(database_url) as connection:
            await interrupter.run(lambda: piped(connection))
            assert_at_rest(connection)
            assert not connection.closed
            assert await value(connection, "SELECT 3") == 3
    assert interrupter.steps > 10


class Careless(Connection[TupleRow]):
    """A connection that waits on Trio and knows no rules of cancellation."""

    async def wait(self, gen: PQGen[_T], *_: object, **__: object) -> _T:
        return await drive(gen, self.pgconn.socket, next(gen))


async def test_control_without_the_rules_a_command_stays_in_progress(database_url: str) -> None:
    """The same cancellation, on a connection without the rules, is what these tests must be able to see."""
    connection = await Careless.connect(database_url, autocommit=True)
    assert await CancelAfter(1).run(lambda: connection.execute(SLEEP)) is None
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE
    with pytest.raises(AssertionError):
        assert_at_rest(connection)
    with pytest.raises(psycopg.OperationalError, match="already in progress"):
        await connection.execute("SELECT 1")
    await connection.close()
