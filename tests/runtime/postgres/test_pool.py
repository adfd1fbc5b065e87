"""The pool: bounded, fair, and never a connection lost."""

# ruff: noqa: PT012, SIM117 - who raises inside which scope is the subject

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
import trio
import trio.testing
from psycopg.rows import TupleRow

from rolebook.runtime.contract import Ending
from rolebook.runtime.postgres import (
    Connection,
    DatabaseUnreachable,
    Pool,
    PoolClosed,
    PoolExhausted,
    PoolStatistics,
    connect_session,
    open_pool,
)
from tests.proxy import Proxy

from .cancelling import CancelAfter
from .connections import IDLE, connected, until, until_sleeping, value

Connections = Pool[Connection[TupleRow]]


def opener(url: str, role: str = "handler") -> Callable[[], Awaitable[Connection[TupleRow]]]:
    return partial(connect_session, url, role=role, process="test")


@asynccontextmanager
async def pooled(url: str, **options: Any) -> AsyncGenerator[Connections]:
    async with open_pool(opener(url), **options) as pool:
        yield pool


async def use(pool: Connections) -> int:
    """Borrow a connection for a statement; its backend."""
    async with pool.connection() as connection:
        assert await value(connection, "SELECT 1") == 1
        return connection.info.backend_pid


async def test_connections_are_opened_when_needed_and_used_again(database_url: str) -> None:
    """Nothing is opened ahead; a connection that came back is lent again."""
    async with pooled(database_url, size=3) as pool:
        assert pool.statistics() == PoolStatistics(3, 0, 0, 0, 0, 0, 0)
        assert await use(pool) == await use(pool)
        assert pool.statistics() == PoolStatistics(3, 1, 0, 0, 1, 0, 0)


async def test_the_one_used_last_is_used_next(database_url: str) -> None:
    """Last in, first out: the others may grow old."""
    async with pooled(database_url, size=2) as pool:
        async with pool.connection() as first:
            async with pool.connection() as second:
                assert first is not second
            assert pool.statistics().held == 1
        assert await use(pool) == first.info.backend_pid


async def test_a_full_pool_fails_fast_and_names_the_holders(database_url: str) -> None:
    """After `acquire_timeout` the error says who has the connections; nothing is lost by it."""
    async with pooled(database_url, size=1, acquire_timeout=0.02) as pool:
        async with pool.connection():
            with pytest.raises(PoolExhausted) as caught:
                await use(pool)
        assert caught.value.size == 1
        assert "test_a_full_pool" in str(caught.value)
        assert "enlarge the pool" in str(caught.value)
        assert (pool.statistics().exhausted, pool.statistics().waiting) == (1, 0)
        await use(pool)


async def test_those_who_wait_are_served_in_order(database_url: str) -> None:
    """First come, first served, also against one who asks just as a connection comes back."""
    served: list[str] = []

    async def borrow(name: str) -> None:
        async with pool.connection():
            served.append(name)

    async with pooled(database_url, size=1) as pool, trio.open_nursery() as nursery:
        async with pool.connection():
            for name in "abc":
                nursery.start_soon(borrow, name)
                await trio.testing.wait_all_tasks_blocked()
            assert pool.statistics().waiting == 3
        await borrow("late")
    assert served == ["a", "b", "c", "late"]


async def test_an_open_transaction_is_rolled_back(database_url: str) -> None:
    """What a block leaves open is rolled back before the next one gets the connection."""
    async with pooled(database_url, size=1) as pool:
        async with pool.connection() as first:
            await first.execute("BEGIN")
            await first.execute("CREATE TABLE public.t (n int)")
        async with pool.connection() as second:
            assert second is first
            assert second.info.transaction_status == IDLE
            assert await value(second, "SELECT to_regclass('public.t')") is None


async def test_a_connection_that_is_still_at_work_is_not_used_again(database_url: str) -> None:
    """A block that leaves a COPY under way loses its connection."""
    async with pooled(database_url, size=1) as pool:
        async with pool.connection() as first:
            with pytest.raises(psycopg.errors.SyntaxError):
                await first.execute("SELEC")
            copy = first.cursor().copy("COPY (SELECT generate_series(1, 1000000)) TO STDOUT")
            await copy.__aenter__()
        assert first.closed
        assert pool.statistics().discarded == 1
        await use(pool)
        await copy.gen.aclose()


async def test_a_cancelled_block_gives_its_connection_back_idle(database_url: str) -> None:
    """Cancelled in mid-statement, the connection is idle and lent again."""
    async with pooled(database_url, size=1) as pool, connected(database_url) as observer:
        async with trio.open_nursery() as nursery:

            async def sleep(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
                async with pool.connection() as connection, connection.transaction():
                    task_status.started(connection.info.backend_pid)
                    await connection.execute("SELECT pg_sleep(60)")

            pid = await nursery.start(sleep)
            await until_sleeping(observer, pid)
            nursery.cancel_scope.cancel()
        assert await use(pool) == pid


async def test_a_connection_that_died_at_rest_is_replaced(database_url: str) -> None:
    """A backend that was terminated while its connection rested is noticed without a round trip."""
    async with pooled(database_url, size=1, check_after=3600) as pool, connected(database_url) as observer:
        pid = await use(pool)
        await observer.execute("SELECT pg_terminate_backend(%s)", [pid])
        await until(observer, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %s", pid)
        assert await use(pool) != pid
        assert pool.statistics() == PoolStatistics(1, 1, 0, 0, 2, 1, 0)


async def test_a_connection_on_a_dark_link_is_replaced(proxy: Proxy) -> None:
    """A connection that does not answer the health check is closed; opening a new one tells the truth."""
    async with pooled(proxy.url + " connect_timeout=2", size=1, check_after=0, check_timeout=0.05) as pool:
        async with pool.connection() as first:
            first.patience.seconds = 0.05
        proxy.freeze()
        with pytest.raises(DatabaseUnreachable):
            await use(pool)
        assert first.closed
        assert pool.statistics() == PoolStatistics(1, 0, 0, 0, 1, 1, 0)
        await proxy.heal()
        await use(pool)


async def test_a_healthy_connection_passes_its_check(database_url: str) -> None:
    """With `check_after=0` every loan asks the server first, and keeps the connection."""
    async with pooled(database_url, size=1, check_after=0) as pool:
        assert await use(pool) == await use(pool) == await use(pool)
        assert pool.statistics().opened == 1


async def test_an_old_connection_is_replaced(database_url: str) -> None:
    """Past `max_age` a connection is closed when it comes back, never while it is used."""
    async with pooled(database_url, size=1, max_age=0.05) as pool:
        async with pool.connection() as first:
            pid = first.info.backend_pid
            await first.execute("SELECT pg_sleep(0.1)")
        assert first.closed
        assert await use(pool) != pid


async def test_a_connection_that_cannot_be_opened_gives_its_slot_back(proxy: Proxy) -> None:
    """A failure to open is the caller's error; the next one tries again."""
    await proxy.refuse()
    async with pooled(proxy.url, size=1) as pool:
        for _ in range(3):
            with pytest.raises(DatabaseUnreachable):
                await use(pool)
        await proxy.heal()
        await use(pool)
        assert pool.statistics() == PoolStatistics(1, 1, 0, 0, 1, 0, 0)


@pytest.mark.parametrize("waking", [False, True], ids=["asleep", "waking"])
async def test_cancelled_at_every_await_nothing_is_lost(database_url: str, waking: bool) -> None:
    """Cancelled at its n-th await, for every n, a borrower leaves no slot taken and no session behind."""

    async def borrow(pool: Connections) -> None:
        async with pool.connection() as connection, connection.transaction():
            await connection.execute("SELECT 1")
            async with pool.connection() as other:
                await other.execute("BEGIN")

    async with connected(database_url) as observer:
        interrupter = CancelAfter(0)
        while interrupter.fired or interrupter.steps == 0:
            interrupter = CancelAfter(interrupter.steps + 1, waking=waking)
            async with pooled(database_url, size=2, check_after=0) as pool:
                await interrupter.run(partial(borrow, pool))
                after = pool.statistics()
                assert (after.held, after.waiting) == (0, 0)
                assert after.opened == after.resting + after.discarded
                await borrow(pool)
        assert interrupter.steps > 5
        left = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'rolebook test handler'"
        await until(observer, left + " AND datname = current_database()")


async def test_cancelled_while_waiting_for_a_slot(database_url: str) -> None:
    """One who gives up waiting does not take a slot along."""
    async with pooled(database_url, size=1) as pool:
        async with pool.connection():
            with trio.move_on_after(0.01) as scope:
                await use(pool)
            assert scope.cancelled_caught
        await use(pool)


async def test_the_end_waits_for_those_inside(database_url: str) -> None:
    """Leaving the pool's block waits until what is held has come back, then closes everything."""
    finished = False

    async def borrow(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        nonlocal finished
        async with pool.connection() as connection:
            task_status.started()
            await connection.execute("SELECT pg_sleep(0.1)")
            finished = True

    async with trio.open_nursery() as nursery:
        async with pooled(database_url, size=1) as pool:
            await nursery.start(borrow)
        assert finished
        assert pool.statistics() == PoolStatistics(1, 0, 0, 0, 1, 1, 0)


async def test_the_end_does_not_wait_for_ever(database_url: str) -> None:
    """After `close_timeout` connections are closed under their users, who get an error."""

    async def hold(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with pytest.raises(psycopg.OperationalError):
            async with pool.connection() as connection:
                task_status.started()
                await connection.execute("SELECT pg_sleep(60)")

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            async with pooled(database_url, size=1, close_timeout=0.05) as pool:
                await nursery.start(hold)
    assert pool.statistics() == PoolStatistics(1, 0, 0, 0, 1, 1, 0)


async def test_a_cancelled_end_closes_at_once(database_url: str) -> None:
    """A pool whose block is cancelled does not wait for anybody."""
    pools: list[Connections] = []
    async with trio.open_nursery() as nursery:
        with trio.fail_after(5), trio.CancelScope() as scope:
            async with pooled(database_url, size=1, close_timeout=60) as pool:
                borrowed = trio.Event()

                async def hold() -> None:
                    async with pool.connection():
                        borrowed.set()
                        await trio.sleep_forever()

                nursery.start_soon(hold)
                await borrowed.wait()
                pools.append(pool)
                scope.cancel()
                await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    assert [pool.statistics().discarded for pool in pools] == [1]


async def test_the_end_of_the_runtime_closes_a_pool(database_url: str) -> None:
    """Those inside have what the end of the runtime leaves them, if that is less than `close_timeout`."""
    ending = Ending(0.1)
    async with pooled(database_url, size=1, close_timeout=600, ending=ending) as pool:
        held = pool.connection()
        connection = await held.__aenter__()
        ending.announced.set()
        began = trio.current_time()
    assert trio.current_time() - began < 10
    assert connection.closed
    await held.__aexit__(None, None, None)


async def test_a_closed_pool_lends_nothing(database_url: str) -> None:
    """Those who wait when the pool closes, and those who come later, are told."""
    async with trio.open_nursery() as nursery:
        refused: list[PoolClosed] = []

        async def ask() -> None:
            try:
                await use(pool)
            except PoolClosed as error:
                refused.append(error)

        async with pooled(database_url, size=1, close_timeout=0) as pool:
            held = pool.connection()
            await held.__aenter__()
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert pool.statistics().waiting == 1
        await ask()
        await held.__aexit__(None, None, None)
    assert len(refused) == 2


def test_a_pool_needs_a_size() -> None:
    """A pool of none is a mistake that is named."""
    with pytest.raises(ValueError, match="at least one"):
        trio.run(open_pool(opener(""), size=0).__aenter__)
