"""A connection that is closed, under its user or before: an error each time, never a result that is short."""

# ruff: noqa: PT012 - blocks that raise at their end are the subject

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, cast

import psycopg
import pytest
import trio
from psycopg import IsolationLevel
from psycopg.rows import TupleRow
from trio.testing import wait_all_tasks_blocked

from rolebook.runtime.postgres import Connection, open_pool

from .connections import connected, value

Work = Callable[[Connection[TupleRow]], Awaitable[object]]


@pytest.mark.parametrize("size", [1, 100])
async def test_closing_ends_a_row_stream_with_an_error(database_url: str, size: int) -> None:
    """Rows that did not come any more are not passed over in silence."""
    async with connected(database_url) as connection:
        rows = connection.cursor().stream("SELECT generate_series(1, 100000)", size=size)
        seen = 0
        with pytest.raises(psycopg.OperationalError, match="closed"):
            async with aclosing(cast("Any", rows)):
                async for _ in rows:
                    seen += 1
                    if seen == 100:
                        await connection.close()
        assert seen == 100


async def test_the_pool_ends_a_row_stream_with_an_error(database_url: str) -> None:
    """So it is when a pool's patience with its users is at its end."""
    connect = partial(Connection.connect, database_url, autocommit=True)
    streaming = trio.Event()

    async def read(lent: Connection[TupleRow]) -> None:
        async for _ in lent.cursor().stream("SELECT generate_series(1, 100000)"):
            streaming.set()
            if lent.closed:
                continue
            await trio.lowlevel.checkpoint()

    async def use() -> None:
        with pytest.raises(psycopg.OperationalError, match="closed"):
            async with pool.connection() as lent:
                await read(lent)

    async with trio.open_nursery() as nursery, open_pool(connect, size=1, close_timeout=0) as pool:
        nursery.start_soon(use)
        await streaming.wait()


async def test_closing_ends_a_copy_with_an_error(database_url: str) -> None:
    """Neither does a COPY to the client end as if it were complete."""
    async with connected(database_url) as connection:
        with pytest.raises(psycopg.OperationalError, match="closed"):
            async with connection.cursor().copy("COPY (SELECT generate_series(1, 1000)) TO STDOUT") as copy:
                await copy.read()
                await connection.close()
                while await copy.read():
                    pass


async def test_closing_ends_a_transaction_with_an_error(database_url: str) -> None:
    """What could not be committed is not left as if it had been."""
    async with connected(database_url) as connection, connected(database_url) as observer:
        left: list[psycopg.AsyncTransaction] = []
        with pytest.raises(psycopg.OperationalError, match="closed"):
            async with connection.transaction() as transaction:
                left.append(transaction)
                await connection.execute("CREATE TABLE t (n int)")
                await connection.close()
        assert [transaction.status for transaction in left] == [psycopg.AsyncTransaction.Status.FAILED]
        assert await value(observer, "SELECT to_regclass('t')") is None


@pytest.mark.parametrize("nested", [False, True])
async def test_closing_ends_a_pipeline_with_an_error(database_url: str, nested: bool) -> None:
    """A pipeline that is closed under its user raises; nothing is printed behind its back."""
    async with connected(database_url) as connection:

        async def work() -> None:
            with pytest.raises(psycopg.OperationalError, match="closed"):
                async with connection.pipeline() as pipeline:
                    await connection.execute("SELECT 1")
                    if nested:
                        async with connection.transaction():
                            await connection.execute("SELECT pg_sleep(60)")
                    else:
                        await connection.execute("SELECT pg_sleep(60)")
                        await pipeline.sync()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await wait_all_tasks_blocked(0.05)
            await connection.close()


async def test_a_pipeline_on_a_connection_closed_by_its_user(database_url: str) -> None:
    """The same when it is closed in the block itself, with statements under way."""
    async with connected(database_url) as connection:
        with pytest.raises(psycopg.OperationalError, match="closed"):
            async with connection.pipeline():
                await connection.execute("SELECT 1")
                await connection.execute("SELECT pg_sleep(60)")
                await connection.close()


OPERATIONS: dict[str, Work] = {
    "execute": lambda one: one.execute("SELECT 1"),
    "commit": lambda one: one.commit(),
    "rollback": lambda one: one.rollback(),
    "set_autocommit": lambda one: one.set_autocommit(False),
    "set_isolation_level": lambda one: one.set_isolation_level(IsolationLevel.SERIALIZABLE),
    "set_read_only": lambda one: one.set_read_only(True),
    "set_deferrable": lambda one: one.set_deferrable(True),
    "tpc_begin": lambda one: one.tpc_begin("x"),
    "tpc_recover": lambda one: one.tpc_recover(),
    "notifies": lambda one: anext(one.notifies(timeout=1)),
    "transaction": lambda one: one.transaction().__aenter__(),
    "pipeline": lambda one: one.pipeline().__aenter__(),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("how", ["closed", "broken"])
async def test_every_operation_says_that_the_connection_is_closed(
    database_url: str, operation: Work, how: str
) -> None:
    """Closed or lost, each operation raises an `OperationalError`."""
    async with connected(database_url, autocommit=False) as connection:
        if how == "closed":
            await connection.close()
        else:
            async with connected(database_url) as observer:
                pid = connection.info.backend_pid
                await observer.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            with pytest.raises(psycopg.errors.AdminShutdown):
                await connection.execute("SELECT 1")
            assert connection.broken
        with pytest.raises(psycopg.OperationalError, match=r"connection is (closed|lost)"):
            await operation(connection)


async def test_a_cursor_of_a_closed_connection_says_so(database_url: str) -> None:
    """So do cursors that were made before, and what they have fetched already stays."""
    async with connected(database_url) as connection:
        cursor = await connection.execute("SELECT 1")
        async with connection.transaction(force_rollback=True):
            pages = connection.cursor("pages")
            await pages.execute("SELECT 1")
            await connection.close()
            with pytest.raises(psycopg.OperationalError, match="closed"):
                await pages.fetchone()
            await pages.close()
        assert await cursor.fetchone() == (1,)
        for again in (
            lambda: cursor.execute("SELECT 1"),
            lambda: cursor.executemany("SELECT %s", [(1,)]),
            lambda: anext(cast("Any", cursor.stream("SELECT 1"))),
            lambda: cursor.copy("COPY t FROM STDIN").__aenter__(),
        ):
            with pytest.raises(psycopg.OperationalError, match="closed"):
                await again()
