"""A real PgBouncer in between: what it breaks is refused with the remedy, and all else works through it."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC
from functools import partial
from typing import Any, LiteralString

import pytest
import trio
from attrs import frozen
from psycopg import sql
from psycopg.conninfo import make_conninfo

import rolebook as rb
from rolebook.runtime.postgres import Connection, DatabaseRefused, UnfitSession, connect_session
from rolebook.runtime.postgres import _probing as probing
from rolebook.runtime.postgres._probing import Between, find_route
from tests.databases import TestServer, temporary_database
from tests.poolers import KINDS, Kind, Pooler, open_pooler
from tests.runtime.apps import Account, Deposit, Transfer
from tests.runtime.looking import Looking, looking_at
from tests.waiting import eventually

APP = rb.App("bank", actors=[Account])

KEPT = ("application_name", "client_encoding", "DateStyle", "standard_conforming_strings", "TimeZone")
"""What PgBouncer itself gives each client as that client last had it."""

STRANGE: LiteralString = "select name, setting from pg_settings where source = 'session'"

SHARED: LiteralString = (
    "select array_agg(n) = array[32, 32] from (select count(*)::int as n from rolebook.partitions"
    " where owner is not null group by owner) as each"
)
"""Whether two processes own half of two queues each."""

kinds = pytest.mark.parametrize("kind", KINDS, ids=str)


@rb.command("gifts.give")
@frozen
class Give(rb.Command[None]):
    to: str


@APP.handler("gifts")
async def give(command: Give, turn: rb.Turn) -> None:
    """Send by SQL, in the transaction of the turn."""
    async with turn.connection() as connection:
        await connection.execute(
            "select rolebook.tell('account', %s, 'account.deposit', '{\"amount\": 5}')", (command.to,)
        )


@asynccontextmanager
async def stranger(pooler: Pooler) -> AsyncGenerator[Looking]:
    """Another program's session on the same pool, which never prepares a statement."""
    async with await Connection.connect(pooler.url, autocommit=True, prepare_threshold=None) as connection:
        yield Looking(connection)


async def direct(url: str) -> Connection[Any]:
    """A session past the pooler."""
    return await Connection.connect(url, autocommit=True)


def set_on(row: tuple[Any, ...]) -> bool:
    return row[0] not in KEPT


async def what_is_left(other: Looking) -> dict[str, Any]:
    """What a session of the pool finds that it has not made itself; with one backend, all there is."""
    return {
        "settings": [row for row in await other.rows(STRANGE) if set_on(row)],
        "prepared": await other.rows("select name from pg_prepared_statements where name !~ '^PGBOUNCER_'"),
        "locks": await other.rows(
            "select objid from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        ),
        "channels": await other.rows("select pg_listening_channels()"),
        "tables": await other.rows("select relname from pg_class where relnamespace = pg_my_temp_schema()"),
    }


NOTHING: dict[str, Any] = {"settings": [], "prepared": [], "locks": [], "channels": [], "tables": []}


async def work(runtime: rb.Runtime, key: str) -> None:
    """Everything that a runtime does through its pool, its readers and its writer."""
    assert await runtime.ask(Account, key, Deposit(10)) == 10
    await runtime.tell(Account, key, Deposit(5))
    await runtime.tell(Account, key, Deposit(5), delay=0.01)
    async with runtime.connection() as connection, connection.transaction():
        await runtime.tell(Account, key, Deposit(5), connection=connection)
    async with runtime.connection() as connection, connection.transaction(force_rollback=True):
        await runtime.tell(Account, key, Deposit(1000), connection=connection)
    await runtime.enqueue("gifts", Give(key))
    for _ in range(8):  # more than it takes until a lent connection prepares a statement
        async with runtime.connection() as connection:
            await connection.execute("select %s::int", (1,))

    async def is_there() -> bool:
        return (await runtime.read(Account, key)).balance == 30

    await eventually(is_there)  # `wait_idle` leaves out what is not due yet
    assert await runtime.ask(Account, key, Transfer(f"{key}'s friend", 20)) == 10
    await runtime.wait_idle()
    assert (await runtime.read(Account, f"{key}'s friend")).balance == 20
    assert [type(event.event).__name__ async for event in runtime.events(Account, key)] == [
        *["Deposited"] * 5,
        "Withdrawn",
    ]


# ---- sessions that are not ours ----


@kinds
async def test_shared_sessions_are_refused(empty_database_url: str, kind: Kind) -> None:
    """Transaction mode is named at the start, with the remedy, before anything is done."""
    async with open_pooler(empty_database_url, kind) as pooler, stranger(pooler) as other:
        for open_it in (rb.open_runtime, rb.open_client):
            with pytest.raises(UnfitSession, match="transaction mode") as caught:
                async with open_it(APP, database=pooler.url):
                    pass
            assert "direct_url" in caught.value.remedy
            assert "cannot reach" not in str(caught.value)
        assert [] == await other.rows("select nspname from pg_namespace where nspname = 'rolebook'")
        if kind.servers == 1:
            assert await what_is_left(other) == NOTHING


async def test_a_shared_session_is_no_owner(empty_database_url: str) -> None:
    """Control: through such a pooler two sessions get one lock, so both would own every partition."""
    async with (
        open_pooler(empty_database_url, KINDS[0]) as pooler,
        stranger(pooler) as one,
        stranger(pooler) as two,
    ):
        assert await one.value("select pg_try_advisory_lock(1)")
        assert await two.value("select pg_try_advisory_lock(1)")


@pytest.mark.parametrize("round_robin", [0, 1])
async def test_a_busy_pooler_is_seen_through(empty_database_url: str, round_robin: int) -> None:
    """While strangers use a pool, the probe sees each time that sessions are shared."""
    async with (
        open_pooler(empty_database_url, Kind(4), server_round_robin=round_robin) as pooler,
        AsyncExitStack() as stack,
        trio.open_nursery() as nursery,
    ):
        for _ in range(3):
            nursery.start_soon(_be_busy, await stack.enter_async_context(stranger(pooler)))
        connect = partial(Connection.connect, pooler.url, autocommit=True)
        for _ in range(50):
            async with await connect() as connection:
                assert (await find_route(connection, connect)).between is Between.TRANSACTIONS
        nursery.cancel_scope.cancel()


async def _be_busy(other: Looking) -> None:
    while True:
        await other.rows("select 1")


async def test_one_session_alone_sees_nothing(empty_database_url: str) -> None:
    """Control: who asks on one connection gets the same backend each time, and takes it to be its own."""
    async with open_pooler(empty_database_url, Kind(4)) as pooler, stranger(pooler) as one:
        seen = {await one.value("select pg_backend_pid()") for _ in range(20)}
    assert len(seen) == 1


async def test_locks_that_do_nothing_are_refused(empty_database_url: str) -> None:
    """A database that gives one lock to two sessions is no referee."""
    async with await direct(empty_database_url) as connection:
        for statement in (
            "create schema fake",
            "create function fake.pg_advisory_lock(bigint) returns void language sql as 'select'",
            "create function fake.pg_try_advisory_xact_lock_shared(bigint) returns bool return true",
        ):
            await connection.execute(statement)
    url = make_conninfo(empty_database_url, options="-c search_path=fake,pg_catalog")
    with pytest.raises(UnfitSession, match="advisory lock that one session holds was given to a second one"):
        async with rb.open_runtime(APP, database=url):
            pass


async def test_a_direct_url_that_leads_elsewhere(postgres: TestServer, empty_database_url: str) -> None:
    """Two URLs of two databases are refused: what one session locks, the others would not see."""
    with (
        temporary_database(postgres.url) as elsewhere,
        pytest.raises(UnfitSession, match="lock that was taken through the other URL"),
    ):
        async with rb.open_runtime(APP, database=empty_database_url, direct_url=elsewhere):
            pass


# ---- with a direct URL ----


@kinds
async def test_everything_works_beside_a_direct_url(usual_url: str, kind: Kind) -> None:
    """Two processes share the work through the pooler, and own their partitions past it."""
    async with open_pooler(usual_url, kind) as pooler, looking_at(usual_url) as looking:
        opened = partial(rb.open_runtime, APP, database=pooler.url, direct_url=usual_url)
        async with opened(process="one") as one, opened(process="two") as two, trio.open_nursery() as nursery:
            await looking.until(SHARED)
            for number in range(6):
                nursery.start_soon(work, (one, two)[number % 2], f"account {number}")
        sums = await looking.rows(
            "select sum((payload ->> 'amount')::int * case type when 'account.deposited' then 1 else -1 end)"
            " from rolebook.events"
        )
        assert sums == [(6 * 30,)]


async def test_the_servers_connections_are_counted(usual_url: str) -> None:
    """What goes through the pooler costs no connection of the server: only the two sessions past it do."""
    settings = rb.Settings(pool_size=1000)
    async with open_pooler(usual_url, KINDS[0]) as pooler:
        async with rb.open_runtime(APP, database=pooler.url, direct_url=usual_url, settings=settings) as one:
            assert await one.ask(Account, "a", Deposit(1)) == 1
        with pytest.raises(rb.BudgetExceeded):
            async with rb.open_runtime(APP, database=usual_url, settings=settings):
                pass


@kinds
async def test_prepared_statements(usual_url: str, kind: Kind) -> None:
    """They are used where the pooler keeps them, and not where a stranger would meet them."""
    async with (
        open_pooler(usual_url, kind) as pooler,
        rb.open_runtime(APP, database=pooler.url, direct_url=usual_url) as runtime,
        stranger(pooler) as other,
    ):
        await work(runtime, "a")
        found = await other.rows("select name, statement from pg_prepared_statements")
        assert [] == [name for name, _ in found if not name.startswith("PGBOUNCER_")]
        if kind.servers == 1:
            assert any("commit_batch" in statement for _, statement in found) is kind.prepares


async def test_a_cancelled_statement_of_a_lent_connection(usual_url: str) -> None:
    """The pooler passes the request on to the backend at work, and the connection is used again."""
    async with (
        open_pooler(usual_url, KINDS[1]) as pooler,
        rb.open_runtime(APP, database=pooler.url, direct_url=usual_url) as runtime,
        runtime.connection() as connection,
    ):
        with trio.move_on_after(0.2) as scope:
            await connection.execute("select pg_sleep(60)")
        assert scope.cancelled_caught
        assert not connection.closed
        assert await (await connection.execute("select 1")).fetchone() == (1,)


# ---- nothing is left, and nothing that was left does harm ----


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.servers == 1], ids=str)
@pytest.mark.parametrize("ignored", ["", "options"])
async def test_a_stranger_finds_its_defaults(usual_url: str, kind: Kind, ignored: str) -> None:
    """No setting, lock, channel or prepared statement of ours is met by others, while we run and after."""
    async with (
        open_pooler(usual_url, kind, ignore_startup_parameters=ignored) as pooler,
        stranger(pooler) as other,
    ):
        assert await what_is_left(other) == NOTHING
        async with rb.open_runtime(APP, database=pooler.url, direct_url=usual_url) as runtime:
            await work(runtime, "a")
            assert await what_is_left(other) == NOTHING
        async with await connect_session(pooler.url, role="command", process="cli") as connection:
            await connection.execute("select 1")
            assert await what_is_left(other) == NOTHING
        assert await what_is_left(other) == NOTHING
        assert await other.value("select current_setting('TimeZone')") == await _default_zone(usual_url)


async def _default_zone(url: str) -> str:
    async with await direct(url) as connection:
        return str(await Looking(connection).value("select current_setting('TimeZone')"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.servers == 1], ids=str)
@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_what_a_stranger_left_does_no_harm(usual_url: str, kind: Kind, isolation: str) -> None:
    """Another search path, time zone, date style or isolation on the backend changes no result."""
    async with open_pooler(usual_url, kind) as pooler, stranger(pooler) as other:
        await other.do("create schema evil")
        try:
            for name in ("messages", "events", "partitions", "commits", "meta", "outcomes", "scheduled"):
                await other.connection.execute(
                    sql.SQL("create table evil.{} (nothing int)").format(sql.Identifier(name))
                )
            await other.do("set search_path = evil")
            await other.do("set intervalstyle = sql_standard")
            await other.do("set bytea_output = escape")
            await other.do("set extra_float_digits = 0")
            await other.connection.execute(
                sql.SQL("set default_transaction_isolation = {}").format(isolation)
            )
            async with rb.open_runtime(APP, database=pooler.url, direct_url=usual_url) as runtime:
                await work(runtime, "a")
                events = [event async for event in runtime.events(Account, "a")]
                assert {UTC} == {event.recorded_at.tzinfo for event in events}
            assert await other.value("show default_transaction_isolation") == isolation
        finally:
            await other.do("drop schema evil cascade")


async def test_events_are_told_in_utc(usual_url: str) -> None:
    """Whatever the time zone of the pool's sessions."""
    async with looking_at(usual_url) as looking:
        name = sql.Identifier(looking.connection.info.dbname)
        change = sql.SQL("alter database {} set TimeZone = 'Asia/Tokyo'")
        await looking.connection.execute(change.format(name))
        try:
            async with (
                open_pooler(usual_url, KINDS[0]) as pooler,
                rb.open_runtime(APP, database=pooler.url, direct_url=usual_url) as runtime,
            ):
                await runtime.ask(Account, "a", Deposit(1))
                (event,) = [event async for event in runtime.events(Account, "a")]
                assert event.recorded_at.tzinfo is UTC
                now = await looking.value("select recorded_at from rolebook.events")
                assert event.recorded_at == now
        finally:
            await looking.connection.execute(sql.SQL("alter database {} reset TimeZone").format(name))


# ---- session mode ----


@pytest.mark.parametrize("ignored", ["", "options"])
@pytest.mark.parametrize("kind", [Kind(24, old=True), Kind(24)], ids=str)
async def test_session_mode_needs_no_direct_url(usual_url: str, kind: Kind, ignored: str) -> None:
    """Each session has a backend of its own until it ends; then what it owned is free for others.

    What a session needs is set in it, also if the pooler drops what is asked for at the start.
    """
    async with (
        open_pooler(usual_url, kind, "session", ignore_startup_parameters=ignored) as pooler,
        looking_at(usual_url) as looking,
    ):
        opened = partial(rb.open_runtime, APP, database=pooler.url)
        async with opened(process="one") as one, opened(process="two") as two:
            await looking.until(SHARED)
            await work(one, "a")
            await work(two, "b")
            async with one.connection() as connection:
                assert await Looking(connection).value("show search_path") == ""
        async with opened(process="three") as three:
            await work(three, "c")


async def test_session_mode_without_a_second_session(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that is too small lets the second session wait: that is said, and how to mend it."""
    monkeypatch.setattr(probing, "PATIENCE", 0.3)
    async with open_pooler(empty_database_url, Kind(1), "session") as pooler:
        with pytest.raises(UnfitSession, match="more server connections"):
            async with rb.open_runtime(APP, database=pooler.url):
                pass


async def test_session_mode_without_cleaning(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler that keeps the locks of sessions that ended would keep partitions from everybody."""
    monkeypatch.setattr(probing, "PATIENCE", 0.3)
    async with open_pooler(
        empty_database_url, Kind(24, old=True), "session", server_reset_query=""
    ) as pooler:
        with pytest.raises(UnfitSession, match="server_reset_query"):
            async with rb.open_runtime(APP, database=pooler.url):
                pass


async def test_statement_mode_is_refused(empty_database_url: str) -> None:
    """Where there are no transactions, nothing works, whatever the direct URL."""
    async with open_pooler(empty_database_url, Kind(3), "statement") as pooler:
        for past in (None, empty_database_url):
            with pytest.raises(UnfitSession, match="statement pooling mode"):
                async with rb.open_runtime(APP, database=pooler.url, direct_url=past):
                    pass


# ---- what a pooler refuses ----


async def _refused(url: str) -> DatabaseRefused:
    with pytest.raises(DatabaseRefused) as caught:
        async with await connect_session(url, role="r", process="p", between=Between.SESSIONS):
            pass
    assert "cannot reach" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("old", [True, False])
async def test_a_poolers_no_is_not_silence(empty_database_url: str, old: bool) -> None:
    """A parameter it does not know, too many clients, no backend in time: each has its own remedy."""
    kind = Kind(1, old=old)
    async with open_pooler(empty_database_url, kind, max_client_conn=1, query_wait_timeout=1) as pooler:
        refused = await _refused(make_conninfo(pooler.url, options="-c work_mem=1MB"))
        assert "ignore_startup_parameters" in refused.remedy
        async with stranger(pooler) as other:
            refused = await _refused(pooler.url)
            assert "max_client_conn" in refused.remedy
            assert await other.value("select 1") == 1
    async with (
        open_pooler(empty_database_url, kind, query_wait_timeout=1) as pooler,
        stranger(pooler) as other,
        other.connection.transaction(),
    ):
        refused = await _refused(pooler.url)
        assert "default_pool_size" in refused.remedy
