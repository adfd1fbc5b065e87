"""Databases that cannot be used: each is one clear error, at the start, that names it and the remedy."""

import re
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import LiteralString

import pytest
import trio
from psycopg import sql
from psycopg.conninfo import make_conninfo

import rolebook as rb
from rolebook.runtime.postgres import (
    BudgetExceeded,
    DatabaseRefused,
    DatabaseUnreachable,
    DatabaseUrlError,
    SchemaError,
    connect_session,
)
from rolebook.runtime.postgres._budget import check_budget
from tests.runtime.apps import Account, Deposit
from tests.runtime.looking import Looking

APP = rb.App("app", actors=[Account])


@asynccontextmanager
async def role(looking: Looking) -> AsyncGenerator[str]:
    """A role without any right but to connect."""
    name = f"role_{uuid.uuid4().hex[:8]}"
    statement = sql.SQL("create role {} login password 'secret'")
    await looking.connection.execute(statement.format(sql.Identifier(name)))
    try:
        yield name
    finally:
        await looking.connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        await looking.connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """An empty database: here it matters who makes the schema, and when."""
    return empty_database_url


async def open_it(url: str, settings: rb.Settings | None = None) -> None:
    """Open a runtime and use it."""
    async with rb.open_runtime(APP, database=url, settings=settings) as runtime:
        assert await runtime.ask(Account, "a", Deposit(1)) > 0


async def test_an_unreachable_database() -> None:
    """Nobody listens there: the error says where, and what to check."""
    said = r"refused.*\n.*127\.0\.0\.1, port 1,.*\n.*remedy: start the server"
    with pytest.raises(DatabaseUnreachable, match=said):
        await open_it("postgresql://me:secret@127.0.0.1:1/bank")


async def test_a_database_that_does_not_exist(database_url: str) -> None:
    """The server says no: the error names the database, and how to create it."""
    with pytest.raises(DatabaseRefused, match="no_such_thing") as caught:
        await open_it(make_conninfo(database_url, dbname="no_such_thing"))
    assert "createdb" in str(caught.value)


async def test_a_role_that_does_not_exist(database_url: str) -> None:
    """A user the server does not know, or whose password is wrong, is named; the password is not."""
    with pytest.raises(DatabaseRefused, match="nobody_i_know") as caught:
        await open_it(make_conninfo(database_url, user="nobody_i_know", password="hush"))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgres//nonsense", ""])
async def test_a_url_that_cannot_be_read(url: str) -> None:
    """A URL that is none is an error that shows how to write one, and does not repeat it."""
    with pytest.raises(DatabaseUrlError, match="postgresql://user:password@host"):
        await open_it(url)


async def test_a_role_that_may_not_create_the_schema(database_url: str, looking: Looking) -> None:
    """The error names the role, the schema and the grant that is missing."""
    async with role(looking) as name:
        with pytest.raises(SchemaError, match=f"{name}.* may not create schema 'rolebook'.*grant create"):
            await open_it(make_conninfo(database_url, user=name, password="secret"))


async def test_a_role_that_may_not_use_the_schema(database_url: str, looking: Looking) -> None:
    """A schema that somebody else made, and did not share, is refused at the start with the remedy."""
    await open_it(database_url)
    async with role(looking) as name:
        with pytest.raises(SchemaError, match=f"{name}.* may not use schema 'rolebook'.*grant usage"):
            await open_it(make_conninfo(database_url, user=name, password="secret"))


async def test_too_few_connections(database_url: str) -> None:
    """A server without room for this process is refused with the arithmetic."""
    with pytest.raises(BudgetExceeded, match=r"needs 1005 connections.*a pool of 1000.*max_connections"):
        await open_it(database_url, rb.Settings(pool_size=1000))


async def test_the_limits_of_the_role_and_the_database_count(database_url: str, looking: Looking) -> None:
    """The tightest limit is the one that is named; whoever has room enough under it may start."""

    async def do(statement: LiteralString, name: str) -> None:
        await looking.connection.execute(sql.SQL(statement).format(sql.Identifier(name)))

    await open_it(database_url)
    async with role(looking) as name:
        await do("grant all on schema rolebook to {}", name)
        await do("grant all on all tables in schema rolebook to {}", name)
        await do("grant all on all sequences in schema rolebook to {}", name)
        url = make_conninfo(database_url, user=name, password="secret")
        await do("alter role {} connection limit 8", name)
        await open_it(url, rb.Settings(pool_size=3))
        with pytest.raises(
            BudgetExceeded, match=r"needs 9 .* 8 free: the connection limit of the role 8 - 0"
        ):
            await open_it(url, rb.Settings(pool_size=4))
        await do("alter database {} connection limit 7", looking.connection.info.dbname)
        with pytest.raises(
            BudgetExceeded, match=r"needs 8 .* 6 free: the connection limit of the database 7 -"
        ):
            await open_it(url, rb.Settings(pool_size=3))


async def test_an_ordinary_role_counts_the_connections_of_others(database_url: str, looking: Looking) -> None:
    """Whoever may not see what other roles' sessions are counts them all the same."""
    async with AsyncExitStack() as stack:
        for _ in range(3):
            session = await connect_session(database_url, role="other", process="other")
            await stack.enter_async_context(session)
        url = make_conninfo(
            database_url, user=await stack.enter_async_context(role(looking)), password="secret"
        )
        async with await connect_session(url, role="setup", process="p") as connection:
            with pytest.raises(BudgetExceeded) as caught:
                await check_budget(connection, 1000)
    used = re.search(r"(\d+) in use", str(caught.value))
    assert used is not None
    assert int(used[1]) >= 4  # the three, and the one that looks


async def test_a_schema_of_a_newer_version(database_url: str, looking: Looking) -> None:
    """A schema from the future is left alone, and the error says to upgrade."""
    await open_it(database_url)
    await looking.do("insert into rolebook.migrations values (9999, 'future', 'x')")
    with pytest.raises(SchemaError, match=r"9999_future.*Upgrade"):
        await open_it(database_url)


async def test_a_schema_from_another_cluster(database_url: str, looking: Looking) -> None:
    """A restored dump is noticed, and the error names the command that makes it usable."""
    await open_it(database_url)
    await looking.do("update rolebook.meta set system_identifier = '1'")
    with pytest.raises(SchemaError, match=r"restored from another cluster.*rolebook rebase"):
        await open_it(database_url)


async def test_a_schema_that_lacks_a_migration(database_url: str) -> None:
    """Told not to migrate, a runtime says what is missing and which command brings it."""
    with pytest.raises(SchemaError, match=r"lacks 0001_foundation.*rolebook migrate"):
        async with rb.open_runtime(APP, database=database_url, migrate=False):
            pass


async def test_another_schema(database_url: str, looking: Looking) -> None:
    """Two apps can share a database in two schemas, and do not hear each other."""
    first, second = rb.Settings(schema="first"), rb.Settings(schema="second")
    async with (
        rb.open_runtime(APP, database=database_url, settings=first) as one,
        rb.open_runtime(APP, database=database_url, settings=second) as two,
    ):
        assert await one.ask(Account, "a", Deposit(1)) == 1
        assert await two.ask(Account, "a", Deposit(5)) == 5
        await one.tell(Account, "a", Deposit(1))
        await one.wait_idle()
        assert (await one.read(Account, "a")).balance == 2
        assert (await two.read(Account, "a")).balance == 5


async def test_two_processes_start_at_once(database_url: str, looking: Looking) -> None:
    """Processes that start together on an empty database create its schema once."""
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(open_it, database_url, rb.Settings(pool_size=1))
    assert await looking.value("select count(*) from rolebook.migrations where version = 1") == 1
