"""psycopg's own behaviours, stated here and true of `Connection`."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import psycopg
import pytest
import trio
from psycopg.rows import class_row, dict_row, scalar_row
from psycopg.types.json import Jsonb

from understudy.runtime.postgres import Connection

IDLE = psycopg.pq.TransactionStatus.IDLE
INTRANS = psycopg.pq.TransactionStatus.INTRANS
INERROR = psycopg.pq.TransactionStatus.INERROR


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Connection[Any]]:
    connection: Connection[Any] = await Connection.connect(url, autocommit=True, **options)
    try:
        yield connection
    finally:
        await connection.close()


async def test_execute_binds_parameters_and_returns_rows(database_url: str) -> None:
    """`execute` binds parameters of many types and rows come back as Python values."""
    async with connected(database_url) as connection:
        cursor = await connection.execute(
            "SELECT %s::int, %s::text, %s::jsonb", [1, "eins", Jsonb({"a": [1]})]
        )
        assert (1, "eins", {"a": [1]}) == await cursor.fetchone()


async def test_a_connection_is_a_context_that_commits_and_closes(database_url: str) -> None:
    """Leaving the connection's block commits and closes; an exception rolls back."""
    async with await Connection.connect(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        await connection.execute("INSERT INTO t VALUES (1)")
    assert connection.closed
    with pytest.raises(ZeroDivisionError):
        async with await Connection.connect(database_url) as connection:
            await connection.execute("INSERT INTO t VALUES (2)")
            raise ZeroDivisionError
    assert connection.closed
    async with connected(database_url, row_factory=scalar_row) as connection:
        assert [1] == await (await connection.execute("SELECT n FROM t")).fetchall()


@pytest.mark.parametrize("binary", [False, True])
async def test_large_values_both_ways(database_url: str, binary: bool) -> None:
    """A value bigger than all socket buffers goes out and comes back whole."""
    payload = bytes(range(256)) * 65536
    async with connected(database_url) as connection:
        cursor = await connection.execute("SELECT %s::bytea", [payload], binary=binary)
        row = await cursor.fetchone()
        assert row is not None
        assert payload == bytes(row[0])


async def test_an_error_leaves_the_connection_usable(database_url: str) -> None:
    """A failed statement raises the class of its SQLSTATE; the next statement works."""
    async with connected(database_url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.execute("SELECT 1/0")
        assert IDLE == connection.info.transaction_status
        assert (1,) == await (await connection.execute("SELECT 1")).fetchone()
