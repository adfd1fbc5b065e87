"""Migrations: once each, under a lock, never changed; and the refusals, each with its remedy."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import psycopg
import pytest
import trio
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rolebook.runtime.postgres import Connection, SchemaError, connect_session, migrate
from rolebook.runtime.postgres._migrating import check_schema, check_server, migrations
from tests.databases import TestServer, drop_database
from tests.stores import execute


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Connection]:
    """A session as the runtime's set-up has it."""
    async with await connect_session(url, role="setup", process="tests") as connection:
        yield connection


async def assert_refused(connection: Connection, message: str) -> None:
    """Both ways to start refuse the database."""
    with pytest.raises(SchemaError, match=message):
        await migrate(connection, schema="rolebook", partitions=4)
    with pytest.raises(SchemaError, match=message):
        await check_schema(connection, schema="rolebook")


async def test_a_fresh_database_gets_everything(database_url: str) -> None:
    """Every migration is applied in order and recorded with its checksum."""
    async with connected(database_url) as connection:
        applied = await migrate(connection, schema="rolebook", partitions=8)
        recorded = await execute(
            connection, "select version, name, checksum from rolebook.migrations order by 1"
        )
        assert recorded == [(each.version, each.name, each.checksum) for each in migrations()]
        assert applied == migrations()
        assert await execute(connection, "select partitions from rolebook.meta") == [(8,)]
        await check_schema(connection, schema="rolebook")


async def test_a_second_time_changes_nothing(database_url: str) -> None:
    """Nothing is applied, and what was fixed at first stays: the number of partitions."""
    async with connected(database_url) as connection:
        await migrate(connection, schema="rolebook", partitions=8)
        assert await migrate(connection, schema="rolebook", partitions=16) == []
        assert await execute(connection, "select partitions from rolebook.meta") == [(8,)]


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
async def test_processes_that_start_together_migrate_once(database_url: str, isolation: str) -> None:
    """One of them applies, the others wait and find it done, whatever the database's default isolation."""
    applied: list[int] = []
    async with connected(database_url) as connection:
        alter = sql.SQL("alter database {} set default_transaction_isolation = {}")
        await connection.execute(alter.format(sql.Identifier(connection.info.dbname), isolation))

    async def start() -> None:
        async with connected(database_url) as connection:
            applied.append(len(await migrate(connection, schema="rolebook", partitions=8)))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(start)
    assert sorted(applied) == [0, 0, 0, len(migrations())]


async def test_schemas_live_side_by_side(database_url: str) -> None:
    """The schema's name is a setting, whatever characters it has; each has its own tables and channel."""
    async with connected(database_url) as connection:
        for schema in ("rolebook", 'odd "name', "Ünder"):
            await migrate(connection, schema=schema, partitions=4)
            send = sql.SQL("select {}.enqueue('q', 't', '1')").format(sql.Identifier(schema))
            await connection.execute(send)
            count = sql.SQL("select count(*) from {}.messages").format(sql.Identifier(schema))
            assert await (await connection.execute(count)).fetchone() == (1,)


async def test_a_failure_leaves_nothing_behind(database_url: str) -> None:
    """A migration that fails half-way is undone whole."""
    async with connected(database_url) as connection:
        await connection.execute("create schema rolebook")
        await connection.execute("create table rolebook.outcomes ()")
        with pytest.raises(psycopg.errors.DuplicateTable):
            await migrate(connection, schema="rolebook", partitions=4)
        tables = await execute(connection, "select tablename from pg_tables where schemaname = 'rolebook'")
        assert tables == [("outcomes",)]


async def test_a_changed_migration_is_refused(database_url: str) -> None:
    """The file of a migration that was applied must stay as it was."""
    async with connected(database_url) as connection:
        await migrate(connection, schema="rolebook", partitions=4)
        await connection.execute("update rolebook.migrations set checksum = 'other' where version = 1")
        await assert_refused(connection, r"0001_foundation was changed .* restore its file")


async def test_a_newer_schema_is_refused(database_url: str) -> None:
    """An old process does not touch what a newer version made."""
    async with connected(database_url) as connection:
        await migrate(connection, schema="rolebook", partitions=4)
        await connection.execute("insert into rolebook.migrations values (9999, 'future', 'x')")
        await assert_refused(connection, r"9999_future.* newer version. Upgrade rolebook")


async def test_without_migrating_an_older_schema_is_refused(database_url: str) -> None:
    """It says what is missing, and which command brings it."""
    async with connected(database_url) as connection:
        with pytest.raises(SchemaError, match=r"lacks 0001_foundation.* Run `rolebook migrate`"):
            await check_schema(connection, schema="rolebook")


@pytest.mark.parametrize("version", [90624, 130023])
def test_an_old_server_is_refused(version: int) -> None:
    """Below 14 there is no way; the message has the version and the one that is needed."""
    with pytest.raises(SchemaError, match="is too old: 14 or newer is needed"):
        check_server(version)


@pytest.mark.parametrize("version", [140000, 150018, 180004])
def test_a_new_enough_server_is_taken(version: int) -> None:
    """14 is the oldest."""
    check_server(version)


@pytest.fixture
def limited_role(postgres: TestServer) -> Generator[str]:
    """A role that may log in, and nothing else."""
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("create role limited login password 'limited'")
        yield "limited"
        admin.execute("drop role limited")


def as_role(url: str, role: str) -> str:
    """The same database as another role."""
    return make_conninfo("", **{**conninfo_to_dict(url), "user": role, "password": role})


async def test_a_role_without_rights_is_told_what_it_needs(database_url: str, limited_role: str) -> None:
    """Who may not create the schema hears which grant is missing, and that somebody else can migrate."""
    async with connected(as_role(database_url, limited_role)) as connection:
        with pytest.raises(SchemaError) as caught:
            await migrate(connection, schema="rolebook", partitions=4)
    assert "role 'limited' may not create schema 'rolebook'" in str(caught.value)
    assert "grant create on database" in str(caught.value)
    assert "rolebook migrate" in str(caught.value)


async def test_a_granted_role_can_migrate(database_url: str, limited_role: str) -> None:
    """The remedy in the message is enough: no superuser is needed."""
    async with connected(database_url) as admin:
        grant = sql.SQL("grant create on database {} to limited")
        await admin.execute(grant.format(sql.Identifier(admin.info.dbname)))
    async with connected(as_role(database_url, limited_role)) as connection:
        assert await migrate(connection, schema="rolebook", partitions=4) == migrations()
        await check_schema(connection, schema="rolebook")
    async with connected(database_url) as admin:
        await admin.execute("drop owned by limited")


async def test_a_role_with_a_schema_of_its_own_can_migrate(database_url: str, limited_role: str) -> None:
    """Where the schema was made for the role, it needs no rights on the database."""
    async with connected(database_url) as admin:
        await admin.execute(
            sql.SQL("create schema rolebook authorization {}").format(sql.Identifier(limited_role))
        )
    try:
        async with connected(as_role(database_url, limited_role)) as connection:
            assert await migrate(connection, schema="rolebook", partitions=4) == migrations()
    finally:
        async with connected(database_url) as admin:
            await admin.execute("drop owned by limited cascade")


async def test_a_role_that_may_not_look_is_told(database_url: str, limited_role: str) -> None:
    """A role that may not even use the schema hears that, not that the schema is missing."""
    async with connected(database_url) as connection:
        await migrate(connection, schema="rolebook", partitions=4)
    async with connected(as_role(database_url, limited_role)) as connection:
        await assert_refused(connection, r"role 'limited' may not use schema 'rolebook'.*grant usage")


async def test_a_database_in_a_narrow_encoding_is_refused(postgres: TestServer) -> None:
    """A database that cannot hold every text is refused at the start, not at the first such text."""
    url = make_conninfo(postgres.url, dbname="narrow")
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("create database narrow encoding 'LATIN1' template template0 locale 'C'")
    try:
        async with connected(url) as connection:
            await assert_refused(connection, r"'narrow' has the encoding LATIN1.*--encoding UTF8")
    finally:
        drop_database(postgres.url, url)


async def test_a_dump_of_another_cluster_is_refused(database_url: str) -> None:
    """Transaction ids mean nothing elsewhere: it says so, and names the command."""
    async with connected(database_url) as connection:
        await migrate(connection, schema="rolebook", partitions=4)
        await connection.execute("update rolebook.meta set system_identifier = '42'")
        await assert_refused(connection, r"another cluster.*identifier 42.*rolebook rebase")


async def test_the_journal_refuses_change(database_url: str) -> None:
    """Not even the owner of the tables changes or removes an event by mistake."""
    async with connected(database_url) as connection:
        await migrate(connection, schema="rolebook", partitions=4)
        await connection.execute(
            "insert into rolebook.events (actor, key, seq, type, version, payload)"
            " values ('a', 'k', 1, 't', 1, '1')"
        )
        for change in ("update {} set seq = 2", "delete from {}", "truncate {}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                await execute(connection, change.format("rolebook.events"))
