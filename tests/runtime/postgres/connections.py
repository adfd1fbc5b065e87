"""What the tests of the driver share."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import trio
from psycopg.rows import TupleRow

from rolebook.runtime.postgres import Connection

ACTIVE = psycopg.pq.TransactionStatus.ACTIVE
IDLE = psycopg.pq.TransactionStatus.IDLE
INTRANS = psycopg.pq.TransactionStatus.INTRANS
INERROR = psycopg.pq.TransactionStatus.INERROR


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncGenerator[Connection[TupleRow]]:
    """A connection in autocommit mode for the length of a block."""
    settings: dict[str, Any] = {"autocommit": True, **options}
    connection = await Connection.connect(url, **settings)
    try:
        yield connection
    finally:
        await connection.close()


async def value(connection: Connection[TupleRow], query: str, *params: Any) -> Any:
    """The one value that a query returns."""
    cursor = await connection.execute(query.encode(), params or None)
    row = await cursor.fetchone()
    assert row is not None, query
    return row[0]


async def until(connection: Connection[TupleRow], query: str, *params: Any) -> None:
    """Ask the server until a query's value is true."""
    with trio.fail_after(10):
        while not await value(connection, query, *params):
            pass


async def until_sleeping(connection: Connection[TupleRow], pid: int) -> None:
    """Wait until the backend `pid` is inside `pg_sleep`."""
    await until(
        connection,
        "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'",
        pid,
    )


def assert_at_rest(connection: Connection[TupleRow]) -> None:
    """Idle or closed: the promise after a cancellation."""
    assert connection.closed or connection.info.transaction_status == IDLE
    assert connection.closed or connection.info.pipeline_status == psycopg.pq.PipelineStatus.OFF
