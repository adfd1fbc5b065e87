"""psycopg's own behaviours, true of `Connection`: COPY, pipelines, row streams, notifications."""

# ruff: noqa: PT012 - blocks that raise at their end are the subject

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from itertools import count
from typing import cast

import psycopg
import pytest
import trio

from .connections import IDLE, connected, value

PIPELINE_OFF = psycopg.pq.PipelineStatus.OFF


async def test_copy_in_of_blocks_and_rows(database_url: str) -> None:
    """COPY takes text blocks and Python rows."""
    async with connected(database_url) as connection, connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE t (n int, s text)")
        async with cursor.copy("COPY t FROM STDIN") as copy:
            await copy.write("1\teins\n")
            await copy.write_row((2, None))
        assert cursor.rowcount == 2
        await cursor.execute("SELECT n, s FROM t ORDER BY n")
        assert await cursor.fetchall() == [(1, "eins"), (2, None)]


async def test_binary_copy_both_ways(database_url: str) -> None:
    """COPY in binary format, with types set, takes and gives Python values."""
    async with connected(database_url) as connection, connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE t (n int4, d date)")
        async with cursor.copy("COPY t FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "date"])
            for n in range(100):
                await copy.write_row((n, None))
        async with cursor.copy("COPY (SELECT n, d FROM t ORDER BY n) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "date"])
            assert [row async for row in copy.rows()] == [(n, None) for n in range(100)]


async def test_copy_out_in_blocks_and_rows(database_url: str) -> None:
    """COPY gives blocks of text, or rows."""
    async with connected(database_url) as connection, connection.cursor() as cursor:
        async with cursor.copy("COPY (SELECT generate_series(1, 3)) TO STDOUT") as copy:
            assert b"".join([bytes(block) async for block in copy]) == b"1\n2\n3\n"
        async with cursor.copy("COPY (SELECT generate_series(1, 3)) TO STDOUT") as copy:
            assert [row async for row in copy.rows()] == [("1",), ("2",), ("3",)]


async def test_a_large_copy_goes_both_ways(database_url: str) -> None:
    """A COPY larger than all buffers arrives whole, in both directions."""
    async with connected(database_url) as connection, connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE t (s text)")
        block = ("x" * 1000 + "\n") * 1000
        async with cursor.copy("COPY t FROM STDIN") as copy:
            for _ in range(10):
                await copy.write(block)
        assert await value(connection, "SELECT sum(length(s)) FROM t") == 10_000_000
        async with cursor.copy("COPY t TO STDOUT") as copy:
            assert sum([len(data) async for data in copy]) == 10_010_000


async def test_copy_from_one_connection_to_another(database_url: str) -> None:
    """Blocks of one connection's COPY feed another's."""
    async with connected(database_url) as source, connected(database_url) as target:
        await target.execute("CREATE TABLE t (n int)")
        async with (
            source.cursor().copy("COPY (SELECT generate_series(1, 10000)) TO STDOUT (FORMAT BINARY)") as out,
            target.cursor().copy("COPY t FROM STDIN (FORMAT BINARY)") as into,
        ):
            async for data in out:
                await into.write(data)
        assert await value(target, "SELECT sum(n) FROM t") == 50_005_000


async def test_an_error_ends_a_copy(database_url: str) -> None:
    """An exception in the block, or bad data, undoes a COPY; leaving one early cancels it."""
    async with connected(database_url) as connection, connection.cursor() as cursor:
        await cursor.execute("CREATE TABLE t (n int)")
        with pytest.raises(ZeroDivisionError):
            async with cursor.copy("COPY t FROM STDIN") as copy:
                await copy.write("1\n")
                raise ZeroDivisionError
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            async with cursor.copy("COPY t FROM STDIN") as copy:
                await copy.write("no number\n")
        with pytest.raises(ZeroDivisionError):
            async with cursor.copy("COPY (SELECT generate_series(1, 1000000)) TO STDOUT") as copy:
                await copy.read()
                raise ZeroDivisionError
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT count(*) FROM t") == 0


async def test_a_pipeline_answers_in_order(database_url: str) -> None:
    """Statements in a pipeline are sent without waiting; each cursor gets its own result."""
    async with connected(database_url) as connection:
        async with connection.pipeline() as pipeline:
            cursors = [await connection.execute("SELECT %s::int", [n]) for n in range(300)]
            assert await cursors[7].fetchone() == (7,)
            await pipeline.sync()
            assert await cursors[8].fetchone() == (8,)
        assert connection.info.pipeline_status == PIPELINE_OFF
        assert await cursors[299].fetchone() == (299,)


async def test_a_pipeline_with_more_data_than_the_buffers_hold(database_url: str) -> None:
    """Large statements and large answers in one pipeline do not block each other."""
    payload = "x" * 100_000
    async with connected(database_url) as connection:
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::text", [payload]) for _ in range(100)]
        assert [await cursor.fetchone() for cursor in cursors] == [(payload,)] * 100


@pytest.mark.parametrize("arrived", [False, True])
async def test_an_error_aborts_the_rest_of_a_pipeline(database_url: str, arrived: bool) -> None:
    """After an error the statements up to the next sync are refused; then the pipeline goes on.

    The error is raised by whatever first sees it: the sync, or a statement sent after it has arrived.
    """
    async with connected(database_url) as connection:
        late = connection.cursor()
        async with connection.pipeline() as pipeline:
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.execute("SELECT 1/0")
                if arrived:
                    await trio.lowlevel.wait_readable(connection.fileno())
                await late.execute("SELECT 1")
                await pipeline.sync()
            with suppress(psycopg.errors.PipelineAborted):  # unless the first sync came so far
                await pipeline.sync()
            with pytest.raises(psycopg.ProgrammingError, match="no result"):
                await late.fetchone()
            assert await value(connection, "SELECT 2") == 2
        assert connection.info.transaction_status == IDLE


async def test_a_transaction_in_a_pipeline(database_url: str) -> None:
    """A transaction inside a pipeline commits or rolls back; nested pipelines are one."""
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        async with connection.pipeline(), connection.transaction(), connection.pipeline():
            await connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with connection.pipeline(), connection.transaction():
                await connection.execute("INSERT INTO t VALUES (2)")
                await connection.execute("SELECT 1/0")
        assert await value(connection, "SELECT array_agg(n) FROM t") == [1]


async def test_stream_reads_row_by_row(database_url: str) -> None:
    """`stream` yields rows as they come; one that is closed early cancels its statement."""
    async with connected(database_url) as connection, connection.cursor() as cursor:
        rows = [row[0] async for row in cursor.stream("SELECT generate_series(1, 1000)")]
        assert rows == list(range(1, 1001))
        size = 64 if psycopg.capabilities.has_stream_chunked() else 1
        rows = [row[0] async for row in cursor.stream("SELECT generate_series(1, 1000)", size=size)]
        assert rows == list(range(1, 1001))
        endless = cursor.stream("SELECT generate_series(1, 10000000)")
        async with aclosing(cast("AsyncGenerator[tuple[int]]", endless)) as stream:
            async for _ in stream:
                break
        assert connection.info.transaction_status == IDLE
        assert await value(connection, "SELECT 1") == 1


async def test_notifies_ends_after_its_timeout(database_url: str) -> None:
    """With a timeout `notifies` yields what came and ends; zero yields what is there already."""
    async with connected(database_url) as connection, connected(database_url) as sender:
        await connection.execute("LISTEN bell")
        assert [n async for n in connection.notifies(timeout=0)] == []
        await sender.execute("NOTIFY bell, 'one'")
        await sender.execute("NOTIFY bell, 'two'")
        heard: list[str] = []
        for _ in count():
            heard += [n.payload async for n in connection.notifies(timeout=0)]
            if len(heard) == 2:
                break
        assert heard == ["one", "two"]
        start = trio.current_time()
        assert [n async for n in connection.notifies(timeout=0.05)] == []
        assert 0.05 <= trio.current_time() - start < 5


async def test_notifies_stops_after_a_number(database_url: str) -> None:
    """`stop_after` ends the generator once that many notifications came."""
    async with connected(database_url) as connection, connected(database_url) as sender:
        await connection.execute("LISTEN bell")
        await sender.execute("SELECT pg_notify('bell', n::text) FROM generate_series(1, 3) n")
        assert [n.payload async for n in connection.notifies(stop_after=3)] == ["1", "2", "3"]


async def test_notifications_during_a_statement_are_kept_for_notifies(database_url: str) -> None:
    """What arrives while a statement runs comes out of the next `notifies`."""
    async with connected(database_url) as connection:
        await connection.execute("LISTEN bell")
        await connection.execute("NOTIFY bell, 'early'")
        await connection.execute("SELECT 1")
        heard = [n async for n in connection.notifies(timeout=5, stop_after=1)]
        assert [(n.channel, n.payload, n.pid) for n in heard] == [
            ("bell", "early", connection.info.backend_pid)
        ]


async def test_notifies_under_a_deadline(database_url: str) -> None:
    """A deadline around `notifies` works, and the connection is usable afterwards."""
    async with connected(database_url) as connection:
        await connection.execute("LISTEN bell")
        with trio.move_on_after(0.05) as scope:
            async with aclosing(connection.notifies()) as notifications:
                async for _ in notifications:
                    pytest.fail("nobody rang")
        assert scope.cancelled_caught
        assert await value(connection, "SELECT 1") == 1


async def test_an_abandoned_notifies_gives_the_connection_back(database_url: str) -> None:
    """A generator that was broken out of is closed from another task; the connection is usable."""
    async with connected(database_url) as connection:
        await connection.execute("LISTEN bell")
        await connection.execute("NOTIFY bell")
        generator = connection.notifies(timeout=5)
        await anext(generator)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(generator.aclose)
        assert await value(connection, "SELECT 1") == 1
