"""Settings that a database's owner may have made: what is pinned, what is named, and what is left alone."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
import pytest
from psycopg import sql

import rolebook as rb
from rolebook.runtime.cli._where import Where, execute
from rolebook.runtime.postgres import Connection, DatabaseUnreachable, connect_session
from rolebook.runtime.postgres._owner_settings import harmful
from tests.runtime.apps import Account, Deposit
from tests.runtime.whole_story import Counter, story_app, tell_story

APP = rb.App("app", actors=[Account])


@pytest.fixture
def database_url(migrated_database: str) -> str:
    """A database of the test's own: it keeps its settings."""
    return migrated_database


def set_for_all(url: str, name: str, value: str) -> None:
    """What a database's owner does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("alter database {} set {} = {}").format(
                sql.Identifier(connection.info.dbname),
                sql.SQL(".").join(map(sql.Identifier, name.split("."))),
                sql.Literal(value),
            )
        )


async def value_of(connection: Connection[Any], name: str) -> str:
    row = await (await connection.execute("select current_setting(%s)", (name,))).fetchone()
    assert row is not None
    return str(row[0])


EVERYWHERE = [
    ("TimeZone", "Asia/Kathmandu", "UTC"),
    ("search_path", "public", ""),
    ("array_nulls", "off", "on"),
    ("client_min_messages", "error", "warning"),
]

OWN = [
    ("statement_timeout", "3min", "0"),
    ("lock_timeout", "3min", "0"),
    ("idle_in_transaction_session_timeout", "3min", "0"),
    ("idle_session_timeout", "3min", "0"),
    ("extra_float_digits", "-15", "1"),
    ("DateStyle", "German", "ISO, MDY"),
    ("IntervalStyle", "sql_standard", "postgres"),
    ("standard_conforming_strings", "off", "on"),
    ("exit_on_error", "on", "off"),
    ("plpgsql.extra_errors", "all", "none"),
    ("plpgsql.extra_warnings", "all", "none"),
    ("enable_indexscan", "off", "on"),
    ("enable_nestloop", "off", "on"),
    ("jit", "on", "off"),
    ("default_transaction_isolation", "serializable", "read committed"),
]


@pytest.mark.parametrize(("name", "chosen", "pinned"), [*EVERYWHERE, *OWN])
async def test_what_is_pinned(database_url: str, name: str, chosen: str, pinned: str) -> None:
    """Our sessions have what our statements need; lent ones keep the owner's choice, but for what must be."""
    set_for_all(database_url, name, chosen)
    async with await connect_session(database_url, role="writer", process="p") as connection:
        assert pinned == await value_of(connection, name)
    async with await connect_session(database_url, role="pool", process="p", isolation=None) as connection:
        is_everywhere = any(each[0] == name for each in EVERYWHERE)
        assert (pinned if is_everywhere else chosen) in await value_of(connection, name)


HARMLESS = [
    ("array_nulls", "off"),
    ("client_min_messages", "error"),
    ("client_min_messages", "debug5"),
    ("extra_float_digits", "-15"),
    ("DateStyle", "German"),
    ("TimeZone", "Asia/Kathmandu"),
    ("IntervalStyle", "iso_8601"),
    ("bytea_output", "escape"),
    ("standard_conforming_strings", "off"),
    ("backslash_quote", "off"),
    ("transform_null_equals", "on"),
    ("quote_all_identifiers", "on"),
    ("xmloption", "document"),
    ("exit_on_error", "on"),
    ("check_function_bodies", "off"),
    ("plpgsql.extra_errors", "all"),
    ("plpgsql.extra_warnings", "all"),
    ("plpgsql.variable_conflict", "use_column"),
    ("default_transaction_deferrable", "on"),
    ("default_transaction_isolation", "serializable"),
    ("row_security", "off"),
    ("session_replication_role", "replica"),
    ("synchronous_commit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_indexscan", "off"),
    ("enable_nestloop", "off"),
    ("jit_above_cost", "0"),
    ("work_mem", "64kB"),
    ("default_tablespace", "nowhere"),
    ("temp_tablespaces", "nowhere"),
    ("track_activities", "off"),
    ("idle_session_timeout", "150ms"),
]


@pytest.mark.parametrize(("name", "value"), HARMLESS)
async def test_the_whole_story(
    database_url: str, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the owner chose: everything a runtime does goes well, and no session falls."""
    set_for_all(database_url, name, value)
    caplog.set_level(logging.INFO)
    await tell_story(database_url)
    fallen = [text for text in caplog.messages if "failed, attempt" in text or "got no answer" in text]
    assert [] == fallen


@pytest.mark.parametrize("name", ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"])
async def test_time_limits_are_for_what_others_do(
    database_url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A limit of a millisecond keeps nothing of the runtime's own from being done."""
    async with rb.open_runtime(story_app(), database=database_url):
        pass  # keeps the shapes of the app's classes, on a connection that is lent to others too
    set_for_all(database_url, name, "1ms")
    caplog.set_level(logging.INFO)
    await tell_story(database_url, lends=False)
    assert "failed, attempt" not in caplog.text


async def test_the_command_line_reads_times_as_they_are(database_url: str) -> None:
    """`rolebook dead list` and the like are sessions of our own too."""
    set_for_all(database_url, "DateStyle", "German")
    await tell_story(database_url, lends=False)
    where = Where(database_url, "rolebook", None, None)
    (letter,) = await execute(where, "dead_letters", (None, None, 5))
    async with rb.open_client(story_app(), database=database_url) as client:
        (other,) = await client.dead_letters()
        assert (await client.read(Counter, "asked")).sum == 57
    assert letter["died_at"] == other.died_at


async def test_a_database_that_is_read_only_by_default(database_url: str) -> None:
    """It may be meant so, for a move to another: the start refuses, and says which setting it is."""
    set_for_all(database_url, "default_transaction_read_only", "on")
    with pytest.raises(DatabaseUnreachable, match="set its default_transaction_read_only to off"):
        async with rb.open_runtime(APP, database=database_url):
            pass


async def test_what_cannot_be_pinned_is_named(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A session that does not fire triggers is told of at the start, with what to do; work goes on."""
    set_for_all(database_url, "session_replication_role", "replica")
    async with rb.open_runtime(APP, database=database_url) as runtime:
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
    (said,) = [each for each in caplog.messages if "session_replication_role" in each]
    assert "reset it with: alter database" in said


async def test_a_limit_on_transactions_is_named(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Where the server has `transaction_timeout`; an older one has nothing to name."""
    with psycopg.connect(database_url) as connection:
        has_it = connection.info.server_version >= 170000
    if has_it:
        set_for_all(database_url, "transaction_timeout", "20s")
    async with rb.open_runtime(APP, database=database_url) as runtime:
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
    assert has_it == ("transaction_timeout is 20 s" in caplog.text)


@pytest.mark.parametrize(
    ("replication_role", "timeout", "words"),
    [
        ("origin", None, []),
        ("origin", 0, []),
        ("origin", 60_000, []),
        ("origin", 59_999, ["transaction_timeout is 59.999 s in database 'shop'"]),
        ("replica", 5000, ["session_replication_role is replica", "transaction_timeout is 5 s"]),
    ],
)
def test_what_is_harmful(replication_role: str, timeout: int | None, words: list[str]) -> None:
    """A limit that no transaction of ours reaches is not worth a word."""
    said = list(harmful("shop", replication_role, timeout))
    assert len(words) == len(said)
    assert all(word in text for word, text in zip(words, said, strict=True))
