"""Links that go dark, servers that die: nothing hangs, nothing stays half-done."""

# ruff: noqa: PT012 - blocks that raise at their end are the subject

from functools import partial

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from rolebook.runtime.postgres import SETTLE_SECONDS, Connection, DatabaseUnreachable, connect_session
from rolebook.runtime.postgres.embedded import PostgresServer
from tests.proxy import Proxy

from .connections import connected, until, until_sleeping, value

SLEEP = "SELECT pg_sleep(60)"


async def test_a_backend_killed_in_mid_query(database_url: str) -> None:
    """A terminated backend makes the statement fail with its reason; the connection is closed."""
    async with connected(database_url) as connection, connected(database_url) as observer:

        async def sleep() -> None:
            with pytest.raises(psycopg.errors.AdminShutdown):
                await connection.execute(SLEEP)

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sleep)
                await until_sleeping(observer, connection.info.backend_pid)
                await observer.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        assert connection.closed
        assert connection.broken


async def test_a_backend_killed_inside_a_transaction(database_url: str) -> None:
    """A transaction whose backend dies raises the error, not one about its rollback."""
    async with connected(database_url) as connection, connected(database_url) as observer:
        await connection.execute("CREATE TABLE t (n int)")
        transactions: list[psycopg.AsyncTransaction] = []
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            async with connection.transaction() as transaction:
                transactions.append(transaction)
                await connection.execute("INSERT INTO t VALUES (1)")
                await observer.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
                await connection.execute("INSERT INTO t VALUES (2)")
        assert [t.status for t in transactions] == [psycopg.AsyncTransaction.Status.FAILED]
        assert connection.closed
        assert await value(observer, "SELECT count(*) FROM t") == 0


async def test_a_backend_killed_while_it_is_listened_to(database_url: str) -> None:
    """`notifies` without a timeout ends with an error when the backend dies."""
    async with connected(database_url) as connection, connected(database_url) as observer:
        await connection.execute("LISTEN bell")

        async def listen(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            with pytest.raises(psycopg.OperationalError):
                task_status.started()
                async for _ in connection.notifies():
                    pytest.fail("nobody rang")

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                await nursery.start(listen)
                await observer.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        assert connection.closed


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_server_that_is_stopped_and_started(private_server: PostgresServer, how: str) -> None:
    """Stopped or killed in mid-query, the server's end is an error at once; started, it is as before."""
    async with connected(private_server.url) as connection, connected(private_server.url) as observer:

        async def sleep() -> None:
            with pytest.raises(psycopg.OperationalError):
                await connection.execute(SLEEP)

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sleep)
                await until_sleeping(observer, connection.info.backend_pid)
                await trio.to_thread.run_sync(getattr(private_server, how))
        assert connection.closed
        with pytest.raises(psycopg.OperationalError):
            await observer.execute("SELECT 1")
    with pytest.raises(DatabaseUnreachable):
        await connect_session(private_server.url, role="r", process="p")
    await trio.to_thread.run_sync(private_server.start)
    async with connected(private_server.url) as connection:
        assert await value(connection, "SELECT 1") == 1


async def test_a_wire_that_is_cut(proxy: Proxy, database_url: str) -> None:
    """A cut wire makes the running statement fail at once; new connections are unaffected."""
    async with connected(proxy.url) as connection, connected(database_url) as observer:

        async def sleep() -> None:
            with pytest.raises(psycopg.OperationalError):
                await connection.execute(SLEEP)

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sleep)
                await until_sleeping(observer, connection.info.backend_pid)
                proxy.cut()
        assert connection.closed
        async with connected(proxy.url) as again:
            assert await value(again, "SELECT 1") == 1


async def test_a_cancelled_statement_on_a_dark_link(proxy: Proxy) -> None:
    """When nothing comes through any more, cancelling closes the connection within the time it may take."""
    async with connected(proxy.url) as connection:
        assert connection.patience.seconds == SETTLE_SECONDS
        connection.patience.seconds = 0.2
        proxy.freeze()
        start = trio.current_time()
        with trio.move_on_after(0.05) as scope:
            await connection.execute("SELECT 1")
        assert scope.cancelled_caught
        assert connection.closed
        assert 0.25 <= trio.current_time() - start < 10


async def test_blocks_on_a_dark_link_end_in_bounded_time(proxy: Proxy) -> None:
    """A transaction and a cursor, open on a dark link, are left within their time limits."""
    async with connected(proxy.url) as connection:
        connection.patience.seconds = 0.2
        start = trio.current_time()
        with trio.CancelScope() as scope:
            async with connection.transaction(), connection.cursor("c") as cursor:
                await cursor.execute("SELECT 1")
                proxy.freeze()
                scope.cancel()
                await trio.sleep_forever()
        assert connection.closed
        assert trio.current_time() - start < 10


async def test_a_pipeline_on_a_dark_link_ends_in_bounded_time(proxy: Proxy) -> None:
    """So is a pipeline with statements under way."""
    async with connected(proxy.url) as connection:
        connection.patience.seconds = 0.2
        start = trio.current_time()
        with trio.CancelScope() as scope:
            async with connection.pipeline() as pipeline:
                await connection.execute("SELECT 1")
                await pipeline.sync()
                proxy.freeze()
                await connection.execute("SELECT 2")
                scope.cancel()
                await trio.sleep_forever()
        assert connection.closed
        assert trio.current_time() - start < 10


async def test_a_stalled_link_that_recovers_cannot_hit_a_later_statement(
    proxy: Proxy, database_url: str
) -> None:
    """A cancel request that was stuck in the wire is for a connection that nobody uses any more."""
    # Without encryption nothing is negotiated first: the request itself is in the wire.
    plain = make_conninfo(proxy.url, sslmode="disable", gssencmode="disable")
    async with connected(plain) as connection, connected(database_url) as observer:
        connection.patience.seconds = 0.2
        pid = connection.info.backend_pid
        with trio.CancelScope() as scope:

            async def stall() -> None:
                await until_sleeping(observer, pid)
                proxy.freeze()
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(stall)
                await connection.execute(SLEEP)
        assert connection.closed
        await proxy.heal()
        await until(observer, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %s", pid)


async def test_connecting_to_a_dark_server_times_out(proxy: Proxy) -> None:
    """A server that takes the connection and says nothing costs `connect_timeout`."""
    proxy.freeze()
    with pytest.raises(psycopg.errors.ConnectionTimeout, match=r"^connection timeout expired$"):
        await Connection.connect(proxy.url, connect_timeout=2)


async def test_connecting_where_nobody_listens(proxy: Proxy) -> None:
    """A refused connection is an error at once; healed, the same address works again."""
    await proxy.refuse()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        await Connection.connect(proxy.url)
    await proxy.heal()
    async with connected(proxy.url) as connection:
        assert await value(connection, "SELECT 1") == 1


async def test_closing_on_a_dark_link_does_not_wait(proxy: Proxy) -> None:
    """`close` neither waits for the server nor for the wire."""
    async with connected(proxy.url) as connection:
        proxy.freeze()
        with trio.fail_after(1):
            await connection.close()
        assert connection.closed


async def test_the_cancel_request_is_bounded(proxy: Proxy) -> None:
    """`cancel_safe` gives up after its timeout when the wire is dark."""
    async with connected(proxy.url) as connection:
        proxy.freeze()
        with pytest.raises(psycopg.errors.CancellationTimeout):
            await connection.cancel_safe(timeout=0.1)


async def test_large_answers_through_a_wire(proxy: Proxy) -> None:
    """Both directions full at once: large statements in a pipeline through a wire that has small buffers."""
    payload = "x" * 1_000_000
    async with connected(proxy.url) as connection:
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::text", [payload]) for _ in range(10)]
        assert [await cursor.fetchone() for cursor in cursors] == [(payload,)] * 10


async def test_many_connections_through_one_wire(proxy: Proxy) -> None:
    """The proxy serves several connections at a time."""
    async with connected(proxy.url) as observer, trio.open_nursery() as nursery:

        async def ask(n: int) -> None:
            async with connected(proxy.url) as connection:
                assert await value(connection, "SELECT %s::int", n) == n

        for n in range(5):
            nursery.start_soon(partial(ask, n))
        assert await value(observer, "SELECT 1") == 1
    await proxy.wait_links(0)
    assert proxy.accepted == 6
