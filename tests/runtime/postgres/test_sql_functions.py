"""Sending by SQL, as programs in other languages do; and the reference page's own examples."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import psycopg
import pytest

from rolebook.runtime.contract import Lane, partition_of_key
from rolebook.runtime.postgres import Connection, connect_session
from tests.stores import Reader, execute, hear, life_of, open_postgres_bench, open_process

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "store.md"


@pytest.fixture
async def connection(migrated_url: str) -> AsyncGenerator[Connection]:
    """A session of somebody else's."""
    async with await connect_session(migrated_url, role="sender", process="shop") as connection:
        yield connection


async def test_tell_puts_a_message_into_an_actors_mailbox(connection: Connection) -> None:
    """Queue, key, partition, type and payload are what the runtime reads; the id comes back."""
    ((id_,),) = await execute(connection, "select rolebook.tell('account', 'alice', 'deposit', '{\"a\": 1}')")
    columns = "id, queue, partition, key, type, version, payload::text, priority, headers, attempts"
    assert await execute(connection, f"select {columns} from rolebook.messages") == [
        (id_, "account", partition_of_key("alice", 4), "alice", "deposit", 1, '{"a": 1}', 0, None, 0)
    ]


async def test_every_option_has_its_column(connection: Connection) -> None:
    """Version, priority and headers by name."""
    await execute(
        connection,
        "select rolebook.enqueue('mail', 't', '1', key => 'k', version => 3, priority => 1, headers => '{}')",
    )
    columns = "key, version, priority, headers::text"
    assert await execute(connection, f"select {columns} from rolebook.messages") == [("k", 3, 1, "{}")]


async def test_nothing_is_compressed_in_the_mailbox(connection: Connection) -> None:
    """What comes out of a table may be: `pg_column_size` in the fetch would not be its length."""
    await execute(connection, "create table public.drafts (body json, head json, key text, type text)")
    await execute(
        connection,
        "insert into public.drafts select to_json(t), json_build_object('a', t), t, t"
        " from repeat('x', 3000) as t",
    )
    packed = "num_nonnulls(pg_column_compression({0}payload), pg_column_compression({0}headers),"
    packed += " pg_column_compression({0}key), pg_column_compression({0}type))"
    await execute(
        connection,
        "select rolebook.enqueue('mail', type, body, key => key, headers => head, due_at => at)"
        " from public.drafts, unnest(array[null, now() + interval '0.1 s']) as at",
    )
    for table in ("messages", "scheduled"):
        assert await execute(connection, f"select {packed.format('')} from rolebook.{table}") == [(0,)]
    while await execute(connection, "select count(*) from rolebook.messages") != [(2,)]:
        await execute(connection, "select rolebook.promote_due(10)")
    assert await execute(connection, f"select {packed.format('')} from rolebook.messages") == [(0,), (0,)]


@pytest.mark.parametrize("key", ["null", "''"])
async def test_an_actor_needs_a_key(connection: Connection, key: str) -> None:
    """Without one the statement fails, and says which actor it was for."""
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="actor account needs a key"):
        await execute(connection, f"select rolebook.tell('account', {key}, 't', '1')")


async def test_mistakes_fail_the_statement(connection: Connection) -> None:
    """What is not JSON or not a priority is refused when it is sent."""
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        await execute(connection, "select rolebook.enqueue('mail', 't', '{')")
    with pytest.raises(psycopg.errors.CheckViolation):
        await execute(connection, "select rolebook.enqueue('mail', 't', '1', priority => 2)")


async def test_later_waits_in_the_schedule(connection: Connection) -> None:
    """By a delay or by a moment; what is due already goes to the mailbox at once."""
    for option in ("delay => interval '1 hour'", "due_at => clock_timestamp() + interval '1 hour'"):
        await execute(connection, f"select rolebook.enqueue('mail', 't', '1', {option})")
    assert await execute(connection, "select count(*) from rolebook.scheduled") == [(2,)]
    for option in ("delay => interval '-1 s'", "due_at => '2001-01-01'"):
        await execute(connection, f"select rolebook.enqueue('mail', 't', '1', {option})")
    assert await execute(connection, "select count(*) from rolebook.messages") == [(2,)]


async def test_sending_rings(migrated_url: str, connection: Connection) -> None:
    """For the owner; for the scheduler if the message waits; and only when the transaction commits."""
    async with (
        open_postgres_bench(migrated_url) as bench,
        bench.store.open_listen_session(life_of("one")) as ear,
        open_process(bench.store),
    ):
        await ear.retry()
        await execute(connection, "begin")
        await execute(connection, "select rolebook.enqueue('mail', 't', '1')")
        await execute(connection, "rollback")
        await execute(connection, "select rolebook.enqueue('mail', 't', '1')")
        await execute(connection, "select rolebook.enqueue('mail', 't', '1', delay => interval '1 hour')")
        heard = await hear(ear, "@")
        assert ["mail", "@"] == [heard[0], heard[1][:1]]
        assert 3600 == pytest.approx(float(heard[1][1:]) - time.time(), abs=60)


async def test_a_snapshot_of_before_wakes_everybody(migrated_url: str, connection: Connection) -> None:
    """Who owns a partition may have changed since it was taken."""
    async with open_postgres_bench(migrated_url) as bench, bench.store.open_listen_session(1) as ear:
        await ear.retry()
        await execute(connection, "begin isolation level repeatable read")
        await execute(connection, "select 1")
        async with open_process(bench.store):
            await execute(connection, "select rolebook.enqueue('mail', 't', '1')")
            await execute(connection, "commit")
            assert await hear(ear, "mail") == ["mail"]


async def test_a_running_reader_sees_what_sql_sent(migrated_url: str, connection: Connection) -> None:
    """In the order of the statements, once the transaction has committed."""
    async with open_postgres_bench(migrated_url) as bench, open_process(bench.store) as one:
        reader = Reader(one.session, Lane("account", 0, range(4)))
        async with connection.transaction():
            for number in (1, 2, 3):
                await execute(connection, f"select rolebook.tell('account', 'a', 't', '{number}')")
            assert await reader.read() == []
        assert [row[6] for row in await reader.read()] == ["1", "2", "3"]


# ---- the reference page ----


@pytest.fixture
def examples() -> list[str]:
    """The SQL of the page, block by block."""
    return re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def shop(migrated_database: str) -> Generator[str]:
    """The page's role is created by the page; roles outlive their databases."""
    yield migrated_database
    with psycopg.connect(migrated_database, autocommit=True) as admin:
        admin.execute("drop owned by shop")
        admin.execute("drop role shop")


async def test_the_examples_work(shop: str, examples: list[str]) -> None:
    """Every block of SQL on the page runs, one after the other; a role with the grants it lists can send."""
    async with await connect_session(shop, role="sender", process="shop") as connection:
        await connection.execute("set search_path = public")
        for block in examples:
            for statement in filter(str.strip, re.sub(r"--.*", "", block).split(";")):
                await execute(connection, statement.replace("%", "%%"))
        assert await execute(connection, "select count(*) from rolebook.messages") == [(3,)]
        await execute(connection, "set role shop")
        await execute(connection, "select rolebook.tell('account', 'a', 't', '1')")
        await execute(connection, "select rolebook.enqueue('mail', 't', '1', delay => interval '1 h')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await execute(connection, "delete from rolebook.messages")


async def test_the_page_names_every_table(connection: Connection) -> None:
    """A table that is added is described."""
    tables = await execute(connection, "select tablename from pg_tables where schemaname = 'rolebook'")
    page = PAGE.read_text(encoding="utf-8")
    assert [name for (name,) in tables if f"| `{name}` |" not in page] == []
