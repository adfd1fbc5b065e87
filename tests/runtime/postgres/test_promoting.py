"""Moving what is due: what it reads of what is not, and one process at a time."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from rolebook.runtime.postgres._statements import Statements
from tests.stores import PostgresBench, execute, open_postgres_bench

ROWS = 200_000
STATEMENTS = Statements("rolebook")
PROMOTER = "-7411000000000000000 - 'rolebook.scheduled'::regclass::oid::bigint"


@pytest.fixture
def later(migrated_database: str) -> psycopg.Connection[Any]:
    """Many messages that are not due, of which the planner knows nothing."""
    connection = psycopg.connect(migrated_database, autocommit=True, prepare_threshold=None)
    connection.execute("alter table rolebook.scheduled set (autovacuum_enabled = off)")
    connection.execute(
        "insert into rolebook.scheduled (due_at, queue, partition, type, payload)"
        " select now() + i * interval '1 hour', 'q', 0, 't', '{}' from generate_series(1, %s) i",
        (ROWS,),
    )
    connection.execute(
        "insert into rolebook.outcomes select i::text, '{}', now() + interval '1 day'"
        " from generate_series(1, %s) i",
        (ROWS,),
    )
    return connection


def pages(connection: psycopg.Connection[Any], statement: str, *parameters: object) -> int:
    """How many pages a statement touches, the first time in a session not counted."""
    query = b"explain (analyze, buffers, timing off, format json) " + STATEMENTS[statement]
    connection.execute(query, parameters)
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "analyzed"])
@pytest.mark.parametrize("jit", ["on", "off"])
def test_what_is_not_due_is_not_read(later: psycopg.Connection[Any], jit: str, *, known: bool) -> None:
    """To find nothing due among many takes a look at the beginning of the index, and no more."""
    with later:
        later.execute(f"set jit = {jit}".encode())
        if known:
            later.execute("analyze rolebook.scheduled")
        assert pages(later, "promote_due", 1000) < 60
        assert pages(later, "pending", "{q}", "{q}") < 20


def test_one_letter_is_put_back_without_a_look_at_the_others(migrated_database: str) -> None:
    """However many there are, of its queue and of others."""
    with psycopg.connect(migrated_database, autocommit=True, prepare_threshold=None) as connection:
        connection.execute(
            "insert into rolebook.dead_letters"
            " (message_id, queue, partition, priority, type, version, payload,"
            " attempts, error, sent_at) select i, 'q', 0, 0, 't', 1, '{}', 1, 'e', now()"
            " from generate_series(1, %s) i",
            (ROWS,),
        )
        assert pages(connection, "redrive", "{17,18}", None) < 100
        assert pages(connection, "redrive", "{19,20}", "q") < 100
        counted = connection.execute("select count(*) from rolebook.messages").fetchone()
    assert (4,) == counted


async def _schedule(bench: PostgresBench) -> None:
    admin = await bench.connect("admin")
    await execute(
        admin,
        "insert into rolebook.scheduled (due_at, queue, partition, type, payload)"
        " values (now() - interval '1 minute', 'q', 0, 't', '{}')",
    )


async def test_who_comes_while_another_promotes_comes_again_soon(migrated_url: str) -> None:
    """It moves nothing, waits for nobody, and is told to look again in a moment."""
    async with open_postgres_bench(migrated_url) as bench:
        await _schedule(bench)
        other = await bench.connect("other")
        await execute(other, "begin")
        await execute(other, f"select pg_advisory_xact_lock({PROMOTER})")
        busy = await bench.store.promote_due(10)
        assert ((), 0.02) == (busy.queues, busy.next_due)
        await execute(other, "commit")
        assert ["q"] == (await bench.store.promote_due(10)).queues


async def test_no_session_holds_on_to_promoting(migrated_url: str) -> None:
    """What a process holds that is frozen between two looks keeps nobody from the next."""
    async with open_postgres_bench(migrated_url) as bench:
        await _schedule(bench)
        assert ["q"] == (await bench.store.promote_due(10)).queues
        admin = await bench.connect("admin")
        assert [] == await execute(
            admin,
            "select 1 from pg_locks l join pg_database d on d.oid = l.database"
            " where l.locktype = 'advisory' and d.datname = current_database()",
        )
