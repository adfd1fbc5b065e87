"""psycopg's own behaviours, true of `Connection`: statements, cursors, transactions, adapters."""

# ruff: noqa: PT012, PT031 - blocks that raise at their end are the subject

import gc
import weakref
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import trio
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.rows import DictRow, class_row, dict_row, scalar_row
from psycopg.types.json import Jsonb

from rolebook.runtime.postgres import Connection
from tests.proxy import Proxy

from .connections import IDLE, INERROR, INTRANS, connected, until_sleeping, value


async def test_execute_binds_parameters_and_returns_rows(database_url: str) -> None:
    """`execute` binds parameters of many types and rows come back as Python values."""
    async with connected(database_url) as connection:
        cursor = await connection.execute(
            "SELECT %s::int, %s::text, %s::jsonb", [1, "eins", Jsonb({"a": [1]})]
        )
        assert await cursor.fetchone() == (1, "eins", {"a": [1]})


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
    async with connected(database_url) as connection:
        assert await value(connection, "SELECT array_agg(n) FROM t") == [1]


@pytest.mark.parametrize("binary", [False, True])
async def test_large_values_travel_both_ways(database_url: str, binary: bool) -> None:
    """A value bigger than all socket buffers goes out and comes back whole."""
    payload = bytes(range(256)) * 65536
    async with connected(database_url) as connection:
        cursor = await connection.execute("SELECT %s::bytea", [payload], binary=binary)
        row = await cursor.fetchone()
        assert row is not None
        assert bytes(row[0]) == payload


async def test_an_error_leaves_the_connection_usable(database_url: str) -> None:
    """A failed statement raises the class of its SQLSTATE; the next statement works."""
    async with connected(database_url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.execute("SELECT 1/0")
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT 1") == 1


async def test_several_tasks_take_turns_on_one_connection(database_url: str) -> None:
    """Statements of many tasks on one connection are serialised, each gets its own answer."""
    answers: list[int] = []
    async with connected(database_url) as connection:

        async def ask(n: int) -> None:
            answers.append(await value(connection, "SELECT %s::int", n))

        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(ask, n)
    assert sorted(answers) == list(range(20))


async def test_executemany_with_and_without_results(database_url: str) -> None:
    """`executemany` runs a statement for every row, and keeps each result if asked."""
    async with connected(database_url) as connection, connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE t (n int)")
        await cursor.executemany("INSERT INTO t VALUES (%s)", [(n,) for n in range(1000)])
        assert cursor.rowcount == 1000
        await cursor.executemany("SELECT %s::int * 2", [(1,), (2,)], returning=True)
        doubles = [await result.fetchone() async for result in cursor.results()]
        assert doubles == [(2,), (4,)]


async def test_executemany_that_fails_leaves_the_connection_usable(database_url: str) -> None:
    """An error in the middle of `executemany` undoes it and ends its pipeline."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int PRIMARY KEY)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            await connection.cursor().executemany("INSERT INTO t VALUES (%s)", [(1,), (2,), (1,), (3,)])
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_statements_are_prepared_after_the_threshold(database_url: str) -> None:
    """`prepare=True` prepares at once, otherwise the threshold decides; None never does."""
    count = "SELECT count(*) FROM pg_prepared_statements"
    async with connected(database_url, prepare_threshold=1) as connection:
        await connection.execute("SELECT %s::int", [1], prepare=True)
        assert await value(connection, count) == 1
        await connection.execute("SELECT %s::text", ["a"])
        assert await value(connection, count) == 1 + 1  # this query itself has been seen twice by now
    async with connected(database_url, prepare_threshold=None) as connection:
        for _ in range(3):
            await connection.execute("SELECT %s::int", [1])
        assert await value(connection, count) == 0


async def test_row_factories(database_url: str) -> None:
    """Rows are made by the factory of the connection or of the cursor."""

    @dataclass
    class Point:
        x: int
        y: int

    query = "SELECT 1 AS x, 2 AS y"
    async with await Connection[DictRow].connect(database_url, row_factory=dict_row) as connection:
        assert await (await connection.execute(query)).fetchone() == {"x": 1, "y": 2}
        async with connection.cursor(row_factory=class_row(Point)) as points:
            assert await (await points.execute(query)).fetchone() == Point(1, 2)
        async with connection.cursor(row_factory=scalar_row) as scalars:
            assert await (await scalars.execute(query)).fetchall() == [1]


async def test_cursor_factories(database_url: str) -> None:
    """Cursors that bind on the client, or take `$1`, work as well."""
    async with connected(database_url, cursor_factory=psycopg.AsyncClientCursor) as connection:
        assert await value(connection, "SELECT %s", "it's") == "it's"
    async with connected(database_url, cursor_factory=psycopg.AsyncRawCursor) as connection:
        assert await value(connection, "SELECT $1::int", 3) == 3


async def test_adapters_of_a_context(database_url: str) -> None:
    """A dumper and a loader registered on a connection, or given as `context`, are used."""

    class Celsius:
        def __init__(self, degrees: float) -> None:
            self.degrees = degrees

    class CelsiusDumper(Dumper):
        oid = psycopg.adapters.types["float8"].oid

        def dump(self, obj: Any) -> Buffer | None:
            return str(obj.degrees).encode()

    class CelsiusLoader(Loader):
        def load(self, data: Buffer) -> Any:
            return Celsius(float(bytes(data)))

    async with connected(database_url) as first:
        first.adapters.register_dumper(Celsius, CelsiusDumper)
        first.adapters.register_loader("float8", CelsiusLoader)
        async with connected(database_url, context=first) as second:
            back = await value(second, "SELECT %s + 1", Celsius(20))
            assert back.degrees == 21


async def test_a_transaction_commits_or_rolls_back(database_url: str) -> None:
    """A transaction block commits at its end and rolls back what an exception leaves."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1)")
            assert connection.info.transaction_status == INTRANS
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction():
                await connection.execute("INSERT INTO t VALUES (2)")
                raise ZeroDivisionError
        async with connection.transaction(force_rollback=True):
            await connection.execute("INSERT INTO t VALUES (3)")
        assert await value(connection, "SELECT array_agg(n) FROM t") == [1]


def give_up(transaction: psycopg.AsyncTransaction) -> None:
    raise psycopg.Rollback(transaction)


async def test_savepoints(database_url: str) -> None:
    """An inner block is a savepoint: its failure leaves the outer transaction alive."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(psycopg.errors.DivisionByZero):
                async with connection.transaction("inner"):
                    await connection.execute("INSERT INTO t VALUES (2)")
                    await connection.execute("SELECT 1/0")
            async with connection.transaction() as inner:
                await connection.execute("INSERT INTO t VALUES (3)")
                give_up(inner)
            await connection.execute("INSERT INTO t VALUES (4)")
        assert await value(connection, "SELECT array_agg(n ORDER BY n) FROM t") == [1, 4]


async def test_a_commit_that_fails_is_not_reported_as_committed(database_url: str) -> None:
    """A constraint checked at COMMIT raises there; the transaction says that it failed."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        transactions: list[psycopg.AsyncTransaction] = []
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with connection.transaction() as transaction:
                transactions.append(transaction)
                await connection.execute("INSERT INTO t VALUES (1), (1)")
        assert [t.status for t in transactions] == [psycopg.AsyncTransaction.Status.FAILED]
        assert connection.info.transaction_status == IDLE


async def test_without_autocommit_statements_open_a_transaction(database_url: str) -> None:
    """Without autocommit a statement starts a transaction, to be ended by `commit` or `rollback`."""
    async with connected(database_url, autocommit=False) as connection:
        await connection.execute("SELECT 1")
        assert connection.info.transaction_status == INTRANS
        await connection.commit()
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.execute("SELECT 1/0")
        assert connection.info.transaction_status == INERROR
        await connection.rollback()
        assert connection.info.transaction_status == IDLE


async def test_session_properties(database_url: str) -> None:
    """Isolation, read-only and autocommit are set by their coroutines, and shape the next transaction."""
    async with connected(database_url) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.SERIALIZABLE)
        await connection.set_read_only(True)
        async with connection.transaction():
            assert await value(connection, "SHOW transaction_isolation") == "serializable"
            assert await value(connection, "SHOW transaction_read_only") == "on"
        with pytest.raises(AttributeError):
            connection.autocommit = False
        await connection.set_autocommit(False)
        assert not connection.autocommit


@pytest.mark.parametrize("size", [1, 7])
async def test_a_server_side_cursor_reads_in_pages(database_url: str, size: int) -> None:
    """A named cursor fetches, scrolls and iterates on the server."""
    async with (
        connected(database_url) as connection,
        connection.transaction(),
        connection.cursor("pages", scrollable=True) as cursor,
    ):
        cursor.itersize = size
        await cursor.execute("SELECT generate_series(1, 10)")
        assert await cursor.fetchone() == (1,)
        assert await cursor.fetchmany(2) == [(2,), (3,)]
        await cursor.scroll(-3)
        assert [row[0] async for row in cursor] == list(range(1, 11))


async def test_a_server_side_cursor_with_hold_outlives_its_transaction(database_url: str) -> None:
    """A cursor WITH HOLD can be read after the commit."""
    async with connected(database_url) as connection, connection.cursor("kept", withhold=True) as cursor:
        async with connection.transaction():
            await cursor.execute("SELECT generate_series(1, 3)")
        assert await cursor.fetchall() == [(1,), (2,), (3,)]


async def test_two_phase_commit(database_url: str) -> None:
    """A transaction can be prepared, found again and committed; a server that forbids it is heard."""
    async with (
        await Connection.connect(database_url) as connection,
        await Connection.connect(database_url) as observer,
    ):
        allowed = int(await value(observer, "SHOW max_prepared_transactions"))
        await observer.rollback()
        xid = connection.xid(1, f"gtrid-{connection.info.backend_pid}", "bqual")
        await connection.tpc_begin(xid)
        await connection.execute("CREATE TABLE t (n int)")
        if not allowed:
            with pytest.raises(psycopg.NotSupportedError):
                await connection.tpc_prepare()
            await connection.close()
            return
        await connection.tpc_prepare()
        assert xid.gtrid in [found.gtrid for found in await observer.tpc_recover()]
        await connection.tpc_commit()
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_notices_and_notifications_reach_their_handlers(database_url: str) -> None:
    """Notice and notify handlers are called while a statement runs."""
    notices: list[str | None] = []
    notifications: list[str] = []
    async with connected(database_url) as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.add_notify_handler(lambda notification: notifications.append(notification.payload))
        await connection.execute("LISTEN bell")
        await connection.execute("DO $$ BEGIN RAISE NOTICE 'careful'; END $$")
        await connection.execute("NOTIFY bell, 'ding'")
        await connection.execute("SELECT 1")
    assert notices == ["careful"]
    assert notifications == ["ding"]


async def test_identifiers_are_composed(database_url: str) -> None:
    """`psycopg.sql` quotes identifiers on this connection."""
    async with connected(database_url) as connection:
        name = sql.Identifier('odd "name"')
        await connection.execute(sql.SQL("CREATE TABLE {} (n int)").format(name))
        await connection.execute(sql.SQL("INSERT INTO {} VALUES (7)").format(name))
        cursor = await connection.execute(sql.SQL("SELECT n FROM {}").format(name))
        assert await cursor.fetchall() == [(7,)]


async def test_cancel_safe_cancels_what_another_task_runs(database_url: str) -> None:
    """`cancel_safe` makes a running statement fail; the connection stays usable."""
    async with connected(database_url) as connection, connected(database_url) as observer:

        async def run() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled):
                await connection.execute("SELECT pg_sleep(60)")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await until_sleeping(observer, connection.info.backend_pid)
            await connection.cancel_safe(timeout=5)
        assert await value(connection, "SELECT 1") == 1


async def test_cancel_safe_on_a_closed_connection_does_nothing(proxy: Proxy) -> None:
    """There is nothing to cancel on a closed connection: the server is not even asked."""
    async with connected(proxy.url) as connection:
        await connection.close()
        before = proxy.accepted
        await connection.cancel_safe(timeout=5)
        assert connection.closed
        async with connected(proxy.url):
            assert proxy.accepted == before + 1


async def test_a_closed_connection_says_so(database_url: str) -> None:
    """Using a closed connection raises `OperationalError`; closing it again is harmless."""
    async with connected(database_url) as connection:
        await connection.close()
        await connection.close()
        assert connection.closed
        assert not connection.broken
        with pytest.raises(psycopg.OperationalError, match="closed"):
            await connection.execute("SELECT 1")


async def test_a_connection_left_open_is_reported(database_url: str) -> None:
    """A connection that is dropped without being closed leaves a ResourceWarning, and no reference cycle."""
    connection = await Connection.connect(database_url)
    gone = weakref.ref(connection)
    with pytest.warns(ResourceWarning, match="still open"):
        del connection
        gc.collect()
    assert gone() is None
