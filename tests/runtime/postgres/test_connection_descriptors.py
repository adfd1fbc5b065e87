"""What is given up is closed by name: no descriptor waits for the garbage collector."""

import gc
import inspect
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any, cast

import psycopg
import pytest
import trio
from psycopg import generators
from psycopg.abc import PQGenConn
from psycopg.pq.abc import PGcancelConn
from psycopg.rows import TupleRow

from rolebook.runtime.postgres import Connection, DatabaseUnreachable, _connecting, connect_session
from rolebook.runtime.postgres._waiting import drive_connecting
from tests.proxy import Proxy

from .cancelling import CancelAfter
from .connections import connected

Work = Callable[[Connection[TupleRow]], Awaitable[object]]


@pytest.fixture(autouse=True)
def without_collector() -> Generator[None]:
    """Nothing is collected during the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def kept() -> list[BaseException]:
    """Where a test keeps errors: their tracebacks keep frames alive, and those whatever was in them."""
    return []


def descriptors() -> set[int]:
    """All that this process has open."""
    found: set[int] = set()
    for number in range(1024):
        with suppress(OSError):
            os.fstat(number)
            found.add(number)
    return found


async def cancelled_at_every_await(
    kept: list[BaseException], work: Callable[[], Awaitable[object]]
) -> AsyncGenerator[None]:
    """Do the work until it was cancelled at each of its awaits; yields after each time."""

    async def keeping() -> None:
        try:
            await work()
        except BaseException as error:
            kept.append(error)
            raise

    for waking in (False, True):
        interrupter = CancelAfter(0)
        while interrupter.fired or interrupter.steps == 0:
            interrupter = CancelAfter(interrupter.steps + 1, waking=waking)
            await interrupter.run(keeping)
            yield
        assert interrupter.steps > 1


async def query(connection: Connection[TupleRow]) -> None:
    await connection.execute("SELECT generate_series(1, 10000)")


async def cancel_request(connection: Connection[TupleRow]) -> None:
    await connection.cancel_safe()


async def stream(connection: Connection[TupleRow]) -> None:
    async for _ in connection.cursor().stream("SELECT generate_series(1, 1000)"):
        pass


async def copy_out(connection: Connection[TupleRow]) -> None:
    async with connection.cursor().copy("COPY (SELECT generate_series(1, 10000)) TO STDOUT") as copy:
        async for _ in copy:
            pass


async def copy_in(connection: Connection[TupleRow]) -> None:
    async with connection.cursor().copy("COPY t FROM STDIN") as copy:
        for _ in range(10):
            await copy.write("1\n" * 100_000)


async def notifies(connection: Connection[TupleRow]) -> None:
    await connection.execute("LISTEN bell")
    await connection.execute("NOTIFY bell")
    async for _ in connection.notifies(timeout=5, stop_after=1):
        pass
    async for _ in connection.notifies(timeout=0.001):
        pass


async def pipeline(connection: Connection[TupleRow]) -> None:
    async with connection.pipeline() as pipe:
        await connection.execute("SELECT pg_sleep(0.01)")
        await pipe.sync()
        await connection.execute("SELECT pg_sleep(0.01)")


async def transaction(connection: Connection[TupleRow]) -> None:
    async with connection.transaction(), connection.transaction():
        await connection.execute("INSERT INTO t VALUES (1)")


async def large_statement(connection: Connection[TupleRow]) -> None:
    await connection.execute("SELECT %s::text", ["x" * 10_000_000])


KINDS: list[Work] = [
    query, cancel_request, stream, copy_out, copy_in, notifies, pipeline, transaction, large_statement,
]  # fmt: skip


@pytest.mark.parametrize("work", KINDS)
async def test_a_cancellation_leaves_no_descriptor(
    database_url: str, kept: list[BaseException], work: Work
) -> None:
    """Whatever is cancelled, at whichever await, only the connection is open afterwards, or not even that."""
    before = descriptors()
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        with_connection = descriptors()
        async for _ in cancelled_at_every_await(kept, lambda: work(connection)):
            assert descriptors() - with_connection == set()
            assert not connection.closed
    assert descriptors() - before == set()


@pytest.fixture
def hoarded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """All generators that make connections and cancel requests, with their arguments: nobody frees these."""
    found: list[object] = []

    def hoard(gen: PQGenConn[object]) -> Awaitable[object]:
        found.append((gen, inspect.getgeneratorlocals(cast("Any", gen))))
        return drive_connecting(gen)

    def hoard_request(request: PGcancelConn) -> PQGenConn[None]:
        found.append(request)
        return cancel(request)

    cancel: Callable[[PGcancelConn], PQGenConn[None]] = generators.cancel
    monkeypatch.setattr(generators, "cancel", hoard_request)
    monkeypatch.setattr(_connecting, "drive_connecting", hoard)
    return found


async def test_nothing_is_left_to_the_last_reference(
    proxy: Proxy, database_url: str, hoarded: list[object]
) -> None:
    """What somebody still refers to, a traceback or a debugger, is closed when it is given up."""
    proxy.freeze()
    with trio.move_on_after(0.05):
        await Connection.connect(proxy.url)
    await proxy.heal()
    async with connected(proxy.url) as connection:
        connection.patience.seconds = 0.2
        proxy.freeze()
        with trio.move_on_after(0.05):
            await connection.execute("SELECT 1")
        assert connection.closed
        await proxy.heal()
    async with connected(proxy.url) as connection:
        proxy.freeze()
        with pytest.raises(psycopg.errors.CancellationTimeout):
            await connection.cancel_safe(timeout=0.1)
        await proxy.heal()
    async with connected(database_url) as connection:
        await connection.cancel_safe()
    assert len(hoarded) >= 7
    with trio.fail_after(5):
        await proxy.wait_links(0)


async def test_cancelled_connecting_leaves_no_descriptor(
    database_url: str, kept: list[BaseException]
) -> None:
    """An attempt to connect that is given up has closed its socket."""

    async def connect() -> None:
        await (await Connection.connect(database_url)).close()

    before = descriptors()
    async for _ in cancelled_at_every_await(kept, connect):
        assert descriptors() - before == set()


async def test_attempts_that_fail_leave_no_descriptor(proxy: Proxy, kept: list[BaseException]) -> None:
    """Neither do attempts that fail or time out, while their errors are kept."""
    proxy.freeze()
    for url in (f"{proxy.url} connect_timeout=2", f"{proxy.url} dbname=nowhere"):
        with pytest.raises(psycopg.Error) as caught:
            await Connection.connect(url)
        kept.append(caught.value)
        await proxy.heal()
        with trio.fail_after(5):
            await proxy.wait_links(0)
    with pytest.raises(DatabaseUnreachable) as refused:
        await connect_session(f"{proxy.url} port=1", role="r", process="p")
    kept.append(refused.value)


async def test_a_cancelled_statement_on_a_dark_link_leaves_no_link(
    proxy: Proxy, kept: list[BaseException]
) -> None:
    """When patience is at its end, the connection and the request to cancel are closed at once."""
    async with connected(proxy.url) as connection:
        connection.patience.seconds = 0.2
        proxy.freeze()
        with pytest.raises(trio.TooSlowError) as caught, trio.fail_after(0.05):
            await connection.execute("SELECT 1")
        kept.append(caught.value)
        assert connection.closed
        assert proxy.accepted == 2
        await proxy.heal()
        with trio.fail_after(5):
            await proxy.wait_links(0)


async def test_a_cancel_request_that_times_out_leaves_no_link(
    proxy: Proxy, kept: list[BaseException]
) -> None:
    """So is the request of `cancel_safe` when its time is up; the connection it was for stays."""
    async with connected(proxy.url) as connection:
        proxy.freeze()
        with pytest.raises(psycopg.errors.CancellationTimeout) as caught:
            await connection.cancel_safe(timeout=0.1)
        kept.append(caught.value)
        await proxy.heal()
        with trio.fail_after(5):
            await proxy.wait_links(1)
        assert not connection.closed


@pytest.mark.parametrize("work", [stream, copy_out, copy_in, pipeline, transaction, large_statement])
async def test_blocks_on_a_dark_link_leave_no_link(
    proxy: Proxy, kept: list[BaseException], work: Work
) -> None:
    """The same for whatever was under way when the link went dark."""
    async with connected(proxy.url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        connection.patience.seconds = 0.2
        proxy.freeze()
        with pytest.raises(trio.TooSlowError) as caught, trio.fail_after(0.05):
            await work(connection)
        kept.append(caught.value)
        assert connection.closed
        await proxy.heal()
        with trio.fail_after(5):
            await proxy.wait_links(0)
