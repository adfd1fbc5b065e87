"""The ends of blocks, when an error and a cancellation come together."""

# ruff: noqa: PT012 - blocks that raise at their end are the subject

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import psycopg
import pytest
import trio
from psycopg import generators
from psycopg.abc import PQGenConn
from psycopg.pq.abc import PGcancelConn
from psycopg.rows import TupleRow
from trio.testing import wait_all_tasks_blocked

from rolebook.runtime.postgres import Connection

from .cancelling import CancelAfter
from .connections import IDLE, INTRANS, assert_at_rest, connected, until, until_sleeping, value

NAMES = "SELECT coalesce(array_agg(name ORDER BY name), '{}') FROM t"


@asynccontextmanager
async def with_table(url: str) -> AsyncGenerator[Connection[TupleRow]]:
    """A connection, and an empty table `t`."""
    async with connected(url) as connection:
        await connection.execute("CREATE TABLE t (name text)")
        yield connection


async def insert(connection: Connection[TupleRow], name: str) -> None:
    await connection.execute("INSERT INTO t VALUES (%s)", [name])


async def assert_usable(connection: Connection[TupleRow], *names: str) -> None:
    """Idle, and what is in the table is what the test says."""
    assert not connection.closed
    assert connection.info.transaction_status == IDLE
    assert await value(connection, NAMES) == list(names)


# ---- transactions ----


async def test_an_error_in_a_cancelled_scope_rolls_back(database_url: str) -> None:
    """An ordinary error leaves a transaction whose scope is cancelled: rolled back, and it is the error."""
    async with with_table(database_url) as connection:
        with trio.CancelScope() as scope, pytest.raises(ZeroDivisionError):
            async with connection.transaction():
                await insert(connection, "lost")
                scope.cancel()
                raise ZeroDivisionError
        await assert_usable(connection)
        await insert(connection, "after")
    async with connected(database_url) as observer:
        assert await value(observer, NAMES) == ["after"]


async def test_an_error_in_a_cancelled_nested_block_rolls_back_to_its_savepoint(database_url: str) -> None:
    """The inner block is undone, and the outer one, which nobody cancelled, goes on and commits."""
    async with with_table(database_url) as connection:
        async with connection.transaction():
            await insert(connection, "before")
            with trio.CancelScope() as scope, pytest.raises(ZeroDivisionError):
                async with connection.transaction(), connection.transaction():
                    await insert(connection, "lost")
                    scope.cancel()
                    raise ZeroDivisionError
            assert connection.info.transaction_status == INTRANS
            await insert(connection, "after")
        await assert_usable(connection, "after", "before")


async def test_a_rollback_that_is_asked_for_in_a_cancelled_scope(database_url: str) -> None:
    """`Rollback` is swallowed by its block there too."""
    async with with_table(database_url) as connection:
        with trio.CancelScope() as scope:
            async with connection.transaction():
                await insert(connection, "lost")
                scope.cancel()
                raise psycopg.Rollback
        await assert_usable(connection)


async def test_two_tasks_that_fail_together(database_url: str) -> None:
    """The one that fails second is cancelled already by the first: both are rolled back."""
    async with with_table(database_url) as first, connected(database_url) as second:
        ready = [trio.Event(), trio.Event()]

        async def fail(connection: Connection[TupleRow], mine: trio.Event, other: trio.Event) -> None:
            async with connection.transaction(), connection.transaction():
                await insert(connection, "lost")
                mine.set()
                await other.wait()
                raise ZeroDivisionError

        with pytest.RaisesGroup(ZeroDivisionError, ZeroDivisionError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail, first, ready[0], ready[1])
                nursery.start_soon(fail, second, ready[1], ready[0])
        await assert_usable(first)
        await assert_usable(second)


async def fail_in_blocks(connection: Connection[TupleRow]) -> None:
    """Transactions of all kinds, each of which ends with an error."""
    for forced in (False, True):
        with suppress(ZeroDivisionError):
            async with connection.transaction(force_rollback=forced):
                await insert(connection, "lost")
                with suppress(psycopg.errors.UndefinedColumn):
                    async with connection.transaction(force_rollback=forced):
                        await connection.execute("SELECT nothing")
                await insert(connection, "lost")
                raise ZeroDivisionError
    with suppress(ZeroDivisionError):
        async with connection.pipeline(), connection.transaction():
            await insert(connection, "lost")
            raise ZeroDivisionError


@pytest.mark.parametrize("waking", [False, True], ids=["asleep", "waking"])
async def test_errors_and_a_cancellation_at_every_await(database_url: str, waking: bool) -> None:
    """Whichever await of failing blocks is cancelled, they leave the connection idle and in order."""
    async with with_table(database_url) as connection:
        interrupter = CancelAfter(0)
        while interrupter.fired or interrupter.steps == 0:
            interrupter = CancelAfter(interrupter.steps + 1, waking=waking)
            await interrupter.run(partial(fail_in_blocks, connection))
            await assert_usable(connection)
        assert interrupter.steps > 15


@asynccontextmanager
async def lock_held(url: str, connection: Connection[TupleRow]) -> AsyncGenerator[Callable[[], Any]]:
    """Another task's statement holds the connection inside the block, until the call that this gives."""
    pid = connection.info.backend_pid
    async with connected(url) as observer, trio.open_nursery() as nursery:
        await observer.execute("SELECT pg_advisory_lock(7)")
        nursery.start_soon(value, connection, "SELECT pg_advisory_xact_lock(7)")
        await until(observer, "SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = %s", pid)
        yield partial(observer.execute, "SELECT pg_advisory_unlock(7)")


@pytest.mark.parametrize("forced", [False, True], ids=["commit", "force_rollback"])
@pytest.mark.parametrize("nested", [False, True], ids=["outer", "nested"])
async def test_cancelled_while_its_end_waits_for_the_lock(
    database_url: str, forced: bool, nested: bool
) -> None:
    """A block whose COMMIT or ROLLBACK has to wait for another task's statement is rolled back after it."""
    async with with_table(database_url) as connection:

        async def work() -> None:
            with scope:
                async with connection.transaction(force_rollback=forced):
                    await insert(connection, "lost")
                    entered.set()
                    await leave.wait()

        async def both() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)
                await entered.wait()
                async with lock_held(database_url, connection) as let_go:
                    leave.set()
                    await wait_all_tasks_blocked(0.01)
                    scope.cancel()
                    await wait_all_tasks_blocked(0.01)
                    await let_go()

        scope, entered, leave = trio.CancelScope(), trio.Event(), trio.Event()
        if nested:
            async with connection.transaction():
                await insert(connection, "before")
                await both()
                assert connection.info.transaction_status == INTRANS
                await insert(connection, "after")
            await assert_usable(connection, "after", "before")
        else:
            await both()
            await assert_usable(connection)


async def test_a_lock_that_is_not_given_back_in_time(database_url: str) -> None:
    """A cancelled block waits for its rollback while there is patience; then the connection is closed."""
    async with with_table(database_url) as connection:
        connection.patience.seconds = 0.05
        with trio.CancelScope() as scope, trio.fail_after(10):
            async with connection.transaction():
                await insert(connection, "lost")
                await connection.lock.acquire()
                scope.cancel()
        assert scope.cancelled_caught
        assert connection.closed
    async with connected(database_url) as observer:
        assert await value(observer, NAMES) == []


async def test_an_error_in_a_block_may_wait_for_the_lock(database_url: str) -> None:
    """Where nobody is cancelled nobody is in a hurry: patience has no part in an ordinary rollback."""
    async with with_table(database_url) as connection:
        connection.patience.seconds = 0.0

        async def work() -> None:
            with suppress(ZeroDivisionError):
                async with connection.transaction():
                    await insert(connection, "lost")
                    entered.set()
                    await leave.wait()
                    raise ZeroDivisionError

        entered, leave = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await entered.wait()
            async with lock_held(database_url, connection) as let_go:
                leave.set()
                await wait_all_tasks_blocked(0.01)
                await let_go()
        await assert_usable(connection)


async def test_a_commit_that_the_server_cancels_is_rolled_back(database_url: str) -> None:
    """A COMMIT that is cancelled before it began leaves a failed transaction, which is ended as well."""

    def fail() -> Iterator[bytes]:
        yield b"SELECT 1/0"

    async with with_table(database_url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with connection.transaction() as transaction:
                await insert(connection, "lost")
                transaction._get_commit_commands = fail  # type: ignore[method-assign]
        await assert_usable(connection)


async def test_savepoints_are_not_cancelled_half_way(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the commands of blocks only COMMIT takes time, so no other is cancelled on the server.

    A SAVEPOINT that the server cancelled would have failed the outer transaction, with nothing to go back to.
    """
    asked = 0

    def count(request: PGcancelConn) -> PQGenConn[None]:
        nonlocal asked
        asked += 1
        return cancel(request)

    cancel: Callable[[PGcancelConn], PQGenConn[None]] = generators.cancel
    monkeypatch.setattr(generators, "cancel", count)

    async def work() -> None:
        async with connection.transaction(force_rollback=True), connection.transaction():
            pass
        with suppress(psycopg.Rollback):
            async with connection.transaction(force_rollback=True), connection.transaction("a"):
                raise psycopg.Rollback

    async with with_table(database_url) as connection:
        for waking in (False, True):
            interrupter = CancelAfter(0)
            while interrupter.fired or interrupter.steps == 0:
                interrupter = CancelAfter(interrupter.steps + 1, waking=waking)
                await interrupter.run(work)
                await assert_usable(connection)
            assert interrupter.steps > 4
    assert asked == 0


@pytest.mark.parametrize("what", ["pipeline", "cursor"])
async def test_other_blocks_wait_for_the_lock_as_well(database_url: str, what: str) -> None:
    """The end of a cancelled pipeline, and of a held cursor, waits for who has the connection."""
    async with with_table(database_url) as connection:
        if what == "pipeline":
            block: Any = connection.pipeline()
        else:
            async with connection.transaction():
                block = await connection.cursor("held", withhold=True).execute("SELECT 1")
        scope, entered, leave = trio.CancelScope(), trio.Event(), trio.Event()

        async def work() -> None:
            with scope:
                async with block:
                    await insert(connection, "kept")
                    entered.set()
                    await leave.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await entered.wait()
            await connection.lock.acquire()
            leave.set()
            await wait_all_tasks_blocked(0.01)
            scope.cancel()
            await wait_all_tasks_blocked(0.01)
            connection.lock.release()
        assert_at_rest(connection)
        assert not connection.closed
        assert await value(connection, "SELECT count(*) FROM pg_cursors WHERE name <> ''") == 0


async def test_an_error_in_a_cancelled_connection_block(database_url: str) -> None:
    """The connection's own block closes it and lets the error through."""
    connection = await Connection.connect(database_url)
    with trio.CancelScope() as scope, pytest.raises(ZeroDivisionError):
        async with connection:
            await connection.execute("CREATE TABLE t (n int)")
            scope.cancel()
            raise ZeroDivisionError
    assert connection.closed
    async with connected(database_url) as observer:
        assert await value(observer, "SELECT to_regclass('t')") is None


# ---- pipelines ----


async def test_an_error_in_a_cancelled_pipeline(database_url: str) -> None:
    """It is synchronised, and the connection stays."""
    async with with_table(database_url) as connection:
        with trio.CancelScope() as scope, pytest.raises(ZeroDivisionError):
            async with connection.pipeline():
                await connection.execute("SELECT 1")
                scope.cancel()
                raise ZeroDivisionError
        assert_at_rest(connection)
        await assert_usable(connection)


async def test_an_error_in_a_cancelled_pipeline_that_works(database_url: str) -> None:
    """What its server is still doing is stopped, not waited for."""
    async with with_table(database_url) as connection, connected(database_url) as observer:
        with trio.fail_after(5), trio.CancelScope() as scope, pytest.raises(ZeroDivisionError):
            async with connection.pipeline() as pipeline:
                await connection.execute("SELECT 1")
                await pipeline.sync()
                await connection.execute("SELECT pg_sleep(60)")
                await until_sleeping(observer, connection.info.backend_pid)
                scope.cancel()
                raise ZeroDivisionError
        assert_at_rest(connection)
        await assert_usable(connection)


# ---- server-side cursors ----


class Custom(psycopg.AsyncServerCursor[TupleRow]):
    """A class of the user's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mine = True


def make(*args: Any, **kwargs: Any) -> Custom:
    """A factory that is no class."""
    return Custom(*args, **kwargs)


@pytest.mark.parametrize("factory", [None, psycopg.AsyncServerCursor, Custom, make])
@pytest.mark.parametrize("error", [False, True], ids=["cancelled", "error"])
async def test_a_held_cursor_is_closed_on_the_server(database_url: str, factory: Any, error: bool) -> None:
    """A WITH HOLD cursor outlives its transaction, but not its cancelled block, whatever its class."""
    async with connected(database_url) as connection:
        if factory is not None:
            connection.server_cursor_factory = factory
        cursor = connection.cursor("held", withhold=True)
        with trio.CancelScope() as scope, suppress(ZeroDivisionError):
            async with cursor:
                await cursor.execute("SELECT generate_series(1, 10)")
                assert await value(connection, "SELECT count(*) FROM pg_cursors") == 1
                scope.cancel()
                if error:
                    raise ZeroDivisionError
                await trio.sleep_forever()
        assert cursor.closed
        assert isinstance(cursor, Custom) == (factory in {Custom, make})
        assert not connection.closed
        assert await value(connection, "SELECT count(*) FROM pg_cursors") == 0
