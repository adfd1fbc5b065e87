"""The plans of the statements on the hot path, on big tables: what they read, and how little of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from psycopg import sql

from rolebook.runtime.contract import Committed, Cursor, Fence, Lane, Message, Snapshot
from rolebook.runtime.postgres import Connection
from rolebook.runtime.postgres._batch import batch_parameters
from rolebook.runtime.postgres._fetching import PostgresFetchSession, fetch_parameters
from rolebook.runtime.postgres._statements import Statements
from rolebook.runtime.postgres._store import ONE_PLAN
from tests import databases, stores
from tests.databases import TestServer
from tests.stores import (
    EVERYWHERE,
    QUEUE,
    Reader,
    event_row,
    execute,
    finished,
    open_postgres_bench,
    open_process,
    send_row,
)

ROWS = 300_000
LANES = [Lane(QUEUE, priority, EVERYWHERE) for priority in (1, 0, -1)]
Node = Mapping[str, Any]


@pytest.fixture(scope="module")
def big_url(postgres: TestServer) -> Iterator[str]:
    """A database with a backlog and a journal of a few hundred thousand rows each."""
    url = stores.create_migrated(postgres.url)
    with psycopg.connect(url, autocommit=True) as connection:
        fill(connection, ROWS)
        connection.execute(
            "insert into rolebook.events (actor, key, seq, type, version, payload)"
            " select 'account', 'k' || k, seq, 't', 1, '{}'"
            " from generate_series(1, 400) as k, generate_series(1, 300) as seq"
        )
        connection.execute("analyze")
    yield url
    databases.drop_database(postgres.url, url)


def fill(connection: psycopg.Connection[Any], rows: int) -> None:
    """Send messages, in two transactions."""
    for _ in range(2):
        connection.execute(
            "insert into rolebook.messages (queue, partition, key, type, payload)"
            " select %s, i %% 4, 'k' || i %% 1000, 't', '{}' from generate_series(1, %s) as i",
            (QUEUE, rows // 2),
        )


def empty(connection: psycopg.Connection[Any], table: Literal["messages", "scheduled"]) -> None:
    """Fill a table a little and empty it: it has pages, and by its statistics nothing in them."""
    fill(connection, 1000)
    if table == "scheduled":
        postpone(connection)
    name = sql.Identifier("rolebook", table)
    connection.execute(sql.SQL("delete from {}").format(name))
    connection.execute(sql.SQL("vacuum (analyze, truncate false) {}").format(name))


def postpone(connection: psycopg.Connection[Any]) -> None:
    """Make messages that are due of all that wait."""
    connection.execute(
        "with gone as (delete from rolebook.messages returning *) insert into rolebook.scheduled"
        " (id, due_at, queue, partition, priority, key, type, version, payload)"
        " select id, now(), queue, partition, priority, key, type, version, payload from gone"
    )


@pytest.fixture
def big(big_url: str) -> Generator[psycopg.Connection[Any]]:
    """A connection to it, in a transaction that is rolled back."""
    with psycopg.connect(big_url, prepare_threshold=None) as connection:
        yield connection
        connection.rollback()


def snapshot(connection: psycopg.Connection[Any]) -> Snapshot:
    """What is finished now."""
    row = connection.execute("select pg_current_snapshot()::text").fetchone()
    assert row is not None
    return Snapshot.parse(row[0])


def explain(connection: psycopg.Connection[Any], statement: str, *values: object) -> Node:
    """Run a statement whose parameters are %s as a prepared one with a generic plan; return the plan."""
    numbers = iter(range(1, 100))
    text = re.sub("%s", lambda _: f"${next(numbers)}", statement)
    connection.execute("set local plan_cache_mode = force_generic_plan")
    connection.execute(f"prepare explained as {text}".encode())
    explained = sql.SQL("explain (analyze, buffers, timing off, format json) execute explained ({})")
    row = connection.execute(explained.format(sql.SQL(",").join(map(sql.Literal, values)))).fetchone()
    assert row is not None
    connection.execute("deallocate explained")
    plan: Node = row[0][0]["Plan"]
    return plan


def nodes(plan: Node) -> Iterator[Node]:
    """A plan's nodes."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def pages(plan: Node) -> int:
    """How many pages it touched."""
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def of_table(plan: Node, table: str) -> list[Node]:
    """The nodes that read a table."""
    return [node for node in nodes(plan) if node.get("Relation Name") == table]


def fetch(connection: psycopg.Connection[Any], cursors: list[Cursor], room: int) -> Node:
    """The plan of a fetch, with the planner as the fetch session has it."""
    connection.execute(ONE_PLAN.encode())
    statement = Statements("rolebook")["fetch"].decode()
    return explain(connection, statement, *fetch_parameters(cursors, [room] * len(cursors)))


def assert_fetch_by_index(plan: Node) -> None:
    """Both parts read the primary key between bounds, and nothing is sorted but what was fetched."""
    scans = of_table(plan, "messages")
    assert len(scans) == 2
    late = next(scan for scan in scans if "ROW(" in scan["Index Cond"])
    running = next(scan for scan in scans if scan is not late)
    for scan in scans:
        assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "messages_pkey")
        assert "queue =" in scan["Index Cond"]
        assert "priority =" in scan["Index Cond"]
    assert "(ROW(tx, id) > ROW(" in late["Index Cond"]
    assert "(tx < " in late["Index Cond"]
    assert "(tx >=" not in late["Index Cond"]
    assert "(tx = " in running["Index Cond"]
    assert "(id > " in running["Index Cond"]
    sorted_rows = [node["Actual Rows"] for node in nodes(plan) if node["Node Type"] == "Sort"]
    assert all(rows <= 2000 for rows in sorted_rows)


def test_a_page_of_a_backlog_reads_that_page(big: psycopg.Connection[Any]) -> None:
    """First page and a page in the middle: an index scan that ends with the page."""
    seen = snapshot(big)
    for cursor in (Cursor(LANES[1]), Cursor(LANES[1], within=seen, position=(seen.xmax - 1, ROWS * 3 // 4))):
        plan = fetch(big, [cursor], 1000)
        assert_fetch_by_index(plan)
        assert pages(plan) < 100


def test_a_long_transaction_is_read_in_pages_too(big: psycopg.Connection[Any]) -> None:
    """Rows of a transaction that was running at the last look: a page in its middle costs a page."""
    seen = snapshot(big)
    tx = seen.xmax - 1
    (row,) = big.execute("select max(tx::text::bigint) from rolebook.messages").fetchall()
    tx = row[0]
    after = Snapshot(tx, tx + 1, (tx,))
    plan = fetch(big, [Cursor(LANES[1], after, within=seen, position=(tx, ROWS * 3 // 4))], 1000)
    assert_fetch_by_index(plan)
    (running,) = [scan for scan in of_table(plan, "messages") if "(tx = " in scan["Index Cond"]]
    assert running["Actual Rows"] == 1000
    assert pages(plan) < 100


def test_a_look_at_the_tail_costs_a_few_pages(big: psycopg.Connection[Any]) -> None:
    """With 300,000 rows behind the cursor, three lanes, and nothing new: a walk down the index for each."""
    seen = snapshot(big)
    fetch(big, [], 2000)  # a session's first look reads the catalogue
    plan = fetch(big, [Cursor(lane, seen) for lane in LANES], 2000)
    assert_fetch_by_index(plan)
    assert pages(plan) <= 5 * len(LANES)


def test_an_old_lane_has_its_rows_read_once(big: psycopg.Connection[Any]) -> None:
    """Rereading one key of a backlog filters; it does not sort."""
    assert_fetch_by_index(fetch(big, [Cursor(Lane(QUEUE, 0, EVERYWHERE, "k7"))], 50))


def test_dead_rows_behind_the_cursor_cost_nothing(postgres: TestServer) -> None:
    """A snapshot pins 300,000 dead rows that no vacuum may remove: a look at the tail is as cheap."""
    url = stores.create_migrated(postgres.url)
    try:
        with (
            psycopg.connect(url) as pin,
            psycopg.connect(url, autocommit=True, prepare_threshold=None) as work,
        ):
            fresh = tail_cost(work)
            pin.execute("set transaction isolation level repeatable read")
            pin.execute("select 1")
            fill(work, ROWS)
            work.execute("delete from rolebook.messages")
            work.execute("vacuum analyze rolebook.messages")
            dead = work.execute("select pg_relation_size('rolebook.messages') / 8192").fetchone()
            assert dead is not None
            assert dead[0] > 2000
            assert tail_cost(work) <= fresh + 3 * len(LANES)
    finally:
        databases.drop_database(postgres.url, url)


def tail_cost(connection: psycopg.Connection[Any]) -> int:
    """Pages for one look by a reader that has caught up, with ten new messages to find."""
    with connection.transaction(force_rollback=True):
        seen = snapshot(connection)
        fill(connection, 10)
        plan = fetch(connection, [Cursor(lane, seen) for lane in LANES], 2000)
        assert_fetch_by_index(plan)
        assert plan["Actual Rows"] == 1 + 10
        return pages(plan)


@pytest.mark.parametrize("state", ["new", "vacuumed", "emptied"])
def test_an_empty_mailbox_gives_the_same_plan(state: str, postgres: TestServer) -> None:
    """Plans are kept: the one made while there is nothing to read must be right when there is."""
    url = stores.create_migrated(postgres.url)
    try:
        with psycopg.connect(url, prepare_threshold=None, autocommit=True) as connection:
            if state == "emptied":
                empty(connection, "messages")
            elif state == "vacuumed":
                connection.execute("vacuum analyze rolebook.messages")
            with connection.transaction():
                assert_fetch_by_index(fetch(connection, [Cursor(LANES[1])], 1000))
    finally:
        databases.drop_database(postgres.url, url)


# ---- the commit ----


def inner(start: str) -> str:
    """A statement inside a function of the migration, from its first words to its end."""
    text = files("rolebook.runtime.postgres").joinpath("migrations", "0001_foundation.sql").read_text()
    found = text[text.index(start) :]
    return re.split(r"\n(?: {4}){1,2}\)|;", found)[0].replace("{schema}", "rolebook")


def plan_as_inside(connection: psycopg.Connection[Any], function: str = "commit_batch") -> None:
    """Give the transaction the settings that a function has for its statements."""
    settings = connection.execute(
        "select set_config(split_part(setting, '=', 1), split_part(setting, '=', 2), true)"
        " from pg_proc, unnest(proconfig) as setting where proname = %s",
        (function,),
    ).fetchall()
    assert settings


DELETE = inner("delete from {schema}.messages where ctid")
DUE = inner("delete from {schema}.scheduled where ctid")
FENCES = inner("from unnest(fence_queue, fence_partition, fence_epoch)")


def test_the_commit_deletes_by_index(big: psycopg.Connection[Any]) -> None:
    """The acknowledgement of a batch looks up each message by its whole primary key."""
    columns = big.execute(
        "select array_agg(queue)::text, array_agg(priority)::text, array_agg(tx)::text, array_agg(id)::text"
        " from (select * from rolebook.messages order by tx desc, id desc limit 500) as newest"
    ).fetchone()
    assert columns is not None
    plan_as_inside(big)
    types = {
        "gone_queue": "text[]",
        "gone_priority": "smallint[]",
        "gone_tx": "xid8[]",
        "gone_id": "bigint[]",
    }
    plan = explain(big, with_parameters(DELETE, types), *columns)
    scan = next(node for node in of_table(plan, "messages") if node["Node Type"] == "Index Scan")
    assert scan["Index Name"] == "messages_pkey"
    assert all(f"({column} = " in scan["Index Cond"] for column in ("queue", "priority", "tx", "id"))
    assert scan["Actual Loops"] == 500
    assert pages(plan) < 500 * 10
    kinds = {node["Node Type"] for node in of_table(plan, "messages")}
    assert kinds == {"Index Scan", "Tid Scan", "ModifyTable"}


def test_fences_are_checked_by_index(big: psycopg.Connection[Any]) -> None:
    """Each fence is one look-up in the primary key of the partitions, also while that table is small."""
    plan_as_inside(big)
    types = {
        "fence_queue": "text[]",
        "fence_partition": "smallint[]",
        "fence_epoch": "bigint[]",
        r"commit_batch\.nonce": "bigint",
    }
    plan = explain(big, f"select 1 {with_parameters(FENCES, types)}", "{a,b}", "{0,1}", "{1,1}", "1")
    (scan,) = of_table(plan, "partitions")
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "partitions_pkey")


@pytest.mark.parametrize("before", [0, 10, 1000], ids=["never used", "a few", "emptied"])
def test_the_commit_keeps_its_plan_when_the_mailbox_fills(migrated_database: str, before: int) -> None:
    """Whatever the planner knew when the writer began, it acknowledges by index when it is full.

    An emptied one has pages, and was last seen with no row in them: to read it whole seems to cost nothing.
    """
    commit = Statements("rolebook")["commit_batch"]
    with psycopg.connect(migrated_database, autocommit=True, prepare_threshold=0) as connection:
        fill(connection, before)
        if before > 10:
            empty(connection, "messages")
        else:
            connection.execute("vacuum analyze rolebook.messages")
        fill(connection, 20)
        for batch in range(8):
            connection.execute(commit, (*marker(batch), *acknowledged(connection, 1)))
        connection.execute("delete from rolebook.messages")
        fill(connection, ROWS)
        row = connection.execute(
            b"explain (analyze, buffers, timing off, format json) " + commit,
            (*marker(8), *acknowledged(connection, 100)),
            prepare=False,
        ).fetchone()
        assert row is not None
        assert pages(row[0][0]["Plan"]) < 100 * 12
        count = connection.execute("select count(*) from rolebook.messages").fetchone()
        assert count == (ROWS - 100,)


@pytest.mark.parametrize("kind", ["retries", "later", "dead"])
def test_what_failed_is_found_by_index(migrated_database: str, kind: str) -> None:
    """Each failed message is looked up, also by a planner that believes the mailbox to be empty."""
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        empty(connection, "messages")
        fill(connection, ROWS // 10)
        row = connection.execute(
            "select json_build_object(%s::text, json_agg(json_build_object("
            "'queue', queue, 'priority', priority, 'tx', tx::text, 'id', id,"
            " 'attempts', 1, 'error', 'e', 'delay', 1)))"
            " from (select * from rolebook.messages order by tx desc, id desc limit 10) as newest",
            (kind,),
        ).fetchone()
        assert row is not None
        plan = connection.execute(
            "explain (analyze, buffers, timing off, format json) select rolebook.commit_rare(%s)",
            (json.dumps(row[0]),),
        ).fetchone()
        assert plan is not None
        assert pages(plan[0][0]["Plan"]) < 10 * 50  # those of the catalog among them


def test_what_is_due_is_found_by_index(migrated_database: str) -> None:
    """A planner that believes that nothing is scheduled does not look through all of it for each message."""
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        empty(connection, "scheduled")
        fill(connection, 20_000)
        postpone(connection)
        with connection.transaction():
            plan_as_inside(connection, "promote_due")
            types = {"moment": "timestamptz", "most": "integer"}
            plan = explain(connection, with_parameters(DUE, types), "now", 1000)
        assert plan["Actual Rows"] == 1000
        assert {node["Node Type"] for node in nodes(plan)}.isdisjoint({"Nested Loop", "Seq Scan", "Sort"})
        found = connection.execute("select count(*) from rolebook.scheduled").fetchone()
        assert found == (19_000,)


def marker(batch: int) -> tuple[str, int, None]:
    """Writer, batch, and nothing to forget."""
    return "00000000-0000-0000-0000-000000000000", batch, None


def acknowledged(connection: psycopg.Connection[Any], most: int) -> tuple[Any, ...]:
    """The rest of the parameters of a commit that acknowledges the newest messages."""
    rows = connection.execute(
        "select id, tx::text::bigint, queue, partition, priority from rolebook.messages"
        " order by tx desc, id desc limit %s",
        (most,),
    ).fetchall()
    fence = Fence(QUEUE, 0, 0, 0)
    messages = [
        Message(id_, tx, queue, partition, priority, None, "t", 1, "{}", None, 0, None, 0.0, fence)
        for id_, tx, queue, partition, priority in rows
    ]
    return batch_parameters([finished(consumed=message) for message in messages], [], None)


def with_parameters(text: str, types: Mapping[str, str]) -> str:
    """A function's statement with its arguments, which stand in their order, as typed parameters."""
    for name, type_ in types.items():
        text = re.sub(rf"\b{name}\b", f"%s::{type_}", text)
    return text


def test_many_actors_are_loaded_by_index(big: psycopg.Connection[Any]) -> None:
    """Recovery reads the newest number, the snapshot and the events of each actor from their primary keys."""
    keys = "{" + ",".join(f"k{number}" for number in range(1, 101)) + "}"
    positions = "{" + ",".join(["290"] * 100) + "}"
    for name, parameters in (
        ("load_streams", ("account", 1, None, keys, positions, 1000)),
        ("load_large_streams", ("account", 1, 1000, 160_000, 16_000_000, None, keys, positions)),
    ):
        plan = explain(big, Statements("rolebook")[name].decode(), *parameters)
        kinds = {node["Node Type"] for node in of_table(plan, "events")}
        assert kinds
        assert kinds <= {"Index Scan", "Index Only Scan"}
        assert pages(plan) < 100 * 20


def test_that_nothing_is_large_is_found_out_by_index(big: psycopg.Connection[Any]) -> None:
    """An actor has a long journal, and others have large events: a few pages say that it has none."""
    big.execute(
        "insert into rolebook.events (actor, key, seq, type, version, payload)"
        " select 'account', 'large' || i % 100, 1 + i / 100, 't', 1, to_json(repeat('x', 2000))"
        " from generate_series(0, 999) as i"
    )
    big.execute(
        "insert into rolebook.events (actor, key, seq, type, version, payload)"
        " select 'account', 'long', i, 't', 1, '{}' from generate_series(1, 5000) as i"
    )
    for analyzed in (False, True):
        if analyzed:
            big.execute("analyze rolebook.events")
        plan = explain(
            big, Statements("rolebook")["load_streams"].decode(), "account", 1, None, "{long}", "{0}", 10
        )
        (probe,) = [node for node in of_table(plan, "events") if node.get("Index Name") == "events_large"]
        assert probe["Node Type"] in {"Index Scan", "Index Only Scan"}
        assert pages(plan) < 60
        assert plan["Actual Rows"] == 11


# ---- counting ----


@contextmanager
def traced(connection: Connection, folder: Path) -> Generator[Counter[str]]:
    """Count the messages that the client sends, by their names in the protocol."""
    sent = Counter[str]()
    with (folder / "trace").open("w+b") as trace:
        connection.pgconn.trace(trace.fileno())
        yield sent
        connection.pgconn.untrace()
        trace.seek(0)
        sent.update(re.findall(r"^.*?F\t\d+\t(\w+)", trace.read().decode(), re.MULTILINE))


async def test_a_thousand_turns_cost_one_round_trip(migrated_url: str, tmp_path: Path) -> None:
    """Reading them is one statement; committing them, an event each, is one statement in one transaction."""
    async with open_postgres_bench(migrated_url) as bench, open_process(bench.store) as one:
        await one.commit(finished(sends=[send_row(number, None) for number in range(1000)]))
        reader = Reader(one.session)
        assert isinstance(one.session, PostgresFetchSession)
        await reader.read(1)
        await reader.read(1)  # the first finds out that there is nothing large
        with traced(one.session.connection, tmp_path) as sent:
            rows = await reader.read(2000)
        assert len(rows) == 998
        assert (sent["Sync"], sent["Execute"]) == (1, 1)

        messages = [one.message(row) for row in rows]
        turns = [
            finished(fence=message.fence, consumed=message, events=[event_row(1, f"k{message.id}")])
            for message in messages
        ]
        watcher = await bench.connect("watcher")
        before = await next_transaction(watcher)
        with traced(one.writer._connection, tmp_path) as sent:
            assert await one.commit(*turns) == Committed()
        assert (sent["Sync"], sent["Execute"]) == (1, 1)
        assert await next_transaction(watcher) == before + 1


async def next_transaction(connection: Connection) -> int:
    """The id that the next transaction that writes will get."""
    rows = await execute(connection, "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    return int(rows[0][0])
