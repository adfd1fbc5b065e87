"""Whose fault an error is, over PostgreSQL's whole list and on real errors."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import psycopg
import pytest
import trio
from psycopg import sql
from psycopg.errors import lookup

from rolebook.runtime.postgres import Connection, DatabaseRefused, connect_session
from rolebook.runtime.postgres._errors import InvalidDatabaseUrl, PoolExhausted
from rolebook.runtime.postgres._faults import (
    CLASSES,
    CODES,
    CONFLICT,
    Fault,
    did_nothing,
    ends_session,
    fault_of,
    is_shortage,
)
from rolebook.runtime.postgres.embedded import EmbeddedError, PostgresServer, find_binaries
from tests.databases import private_server


def codes() -> Iterator[str]:
    """Every code of PostgreSQL's list: the driver has a class for each."""
    waiting: list[type[psycopg.Error]] = [psycopg.Error]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        code = cls.sqlstate
        if isinstance(code, str) and len(code) == 5 and lookup_or_none(code) is cls:
            yield code


def lookup_or_none(code: str) -> type[psycopg.Error] | None:
    """The driver's class of a code."""
    try:
        return lookup(code)
    except KeyError:
        return None


def test_the_whole_list_is_judged() -> None:
    """No code of PostgreSQL's is left to chance: what is unknown is so because it says so."""
    known = sorted(set(codes()))
    assert len(known) > 240
    assert [] == [code for code in known if code[:2] not in CLASSES]
    unknown = [code for code in known if fault_of(lookup(code)("")) is Fault.UNKNOWN]
    # What the server has not sent itself has no code here; it comes with the code that the driver gives it.
    assert {"40003"} | {code for code in known if code[:2] == "08" and code != "08004"} == set(unknown)


def test_every_exception_from_its_class_is_in_the_list() -> None:
    """A code that the table names is one that PostgreSQL has, but for our own."""
    assert [] == [code for code in CODES if code != CONFLICT and lookup_or_none(code) is None]
    assert [] == [code for code, fault in CODES.items() if CLASSES.get(code[:2]) is fault]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("22P02", Fault.DATA),
        ("23514", Fault.DATA),
        ("P0001", Fault.DATA),
        ("54000", Fault.DATA),
        ("25006", Fault.SESSION),
        ("25P02", Fault.PROGRAM),
        ("26000", Fault.SESSION),
        ("42P05", Fault.SESSION),
        ("57P01", Fault.SESSION),
        ("57P05", Fault.SESSION),
        ("28P01", Fault.SERVER),
        ("53100", Fault.SERVER),
        ("53300", Fault.SERVER),
        ("57P03", Fault.SERVER),
        ("58030", Fault.SERVER),
        ("40001", Fault.CONTENTION),
        ("40P01", Fault.CONTENTION),
        ("55P03", Fault.CONTENTION),
        ("40003", Fault.UNKNOWN),
        ("08006", Fault.UNKNOWN),
        ("42P01", Fault.PROGRAM),
        ("42501", Fault.PROGRAM),
        ("3F000", Fault.PROGRAM),
    ],
)
def test_the_fault_of_a_code(code: str, fault: Fault) -> None:
    """What the names of the codes say."""
    assert fault is fault_of(lookup(code)(""))


def test_what_has_no_code() -> None:
    """The driver's own errors, and ours."""
    assert Fault.UNKNOWN is fault_of(psycopg.OperationalError("the connection is lost"))
    assert Fault.UNKNOWN is fault_of(trio.TooSlowError())
    assert Fault.UNKNOWN is fault_of(ConnectionResetError())
    assert Fault.DATA is fault_of(psycopg.DataError("cannot be dumped"))
    assert Fault.DATA is fault_of(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "a surrogate"))
    assert Fault.PROGRAM is fault_of(psycopg.ProgrammingError("cannot adapt"))
    assert Fault.SERVER is fault_of(DatabaseRefused(None, "too many connections", "wait"))
    assert Fault.SERVER is fault_of(PoolExhausted(1, 1.0, ()))
    assert Fault.PROGRAM is fault_of(InvalidDatabaseUrl(None, "no URL", "write one"))
    assert Fault.PROGRAM is fault_of(ValueError())


async def failure(connection: Connection, query: str) -> psycopg.Error:
    """What a statement fails with."""
    with pytest.raises(psycopg.Error) as caught:
        await connection.execute(sql.SQL(query))  # pyright: ignore[reportArgumentType] # the test's own
    return caught.value


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("select 'x'::int", Fault.DATA),
        ("begin read only; create table public.t (i int)", Fault.SESSION),
        ("execute nobody_prepared_this", Fault.SESSION),
        ("prepare twice as select 1; prepare twice as select 1", Fault.SESSION),
        ("set statement_timeout = '10ms'; select pg_sleep(10)", Fault.SERVER),
        ("do $$ begin raise exception 'no'; end $$", Fault.DATA),
        ("select * from nowhere", Fault.PROGRAM),
    ],
)
async def test_what_a_server_refuses_did_nothing(database_url: str, query: str, fault: Fault) -> None:
    """A real error of each kind: it is judged by what the server says, and nothing has happened."""
    async with await connect_session(database_url, role="test", process="test") as connection:
        error = await failure(connection, query)
        assert fault is fault_of(error)
        assert did_nothing(error)
        assert connection.is_spent is ends_session(error)


async def test_a_session_that_is_ended_leaves_the_outcome_open(database_url: str) -> None:
    """Its last word may come behind a commit that waited for a standby."""
    async with await connect_session(database_url, role="test", process="test") as connection:
        error = await failure(connection, "select pg_terminate_backend(pg_backend_pid())")
        assert Fault.SESSION is fault_of(error)
        assert not did_nothing(error)
        assert is_shortage(error)


async def test_a_full_queue_of_notifications_is_the_servers() -> None:
    """Its code is that of an index entry that is too large, and its fault is another.

    A server before 17 cannot be given a small queue: there 8 GB would have to be written.
    """
    with small_queue() as server:
        if server is None:
            return
        async with (
            await connect_session(server.url, role="listener", process="test") as deaf,
            await connect_session(server.url, role="test", process="test") as connection,
        ):
            await deaf.execute("listen here")
            await deaf.execute("begin")
            await deaf.execute("select 1")  # what it has not heard stays in the queue
            error: psycopg.Error | None = None
            with trio.fail_after(60):
                while error is None:
                    try:
                        await connection.execute(
                            "select pg_notify('here', repeat('x', 7000) || i) from generate_series(1, 100) i"
                        )
                    except psycopg.Error as full:
                        error = full
            assert "54000" == error.sqlstate
            assert Fault.SERVER is fault_of(error)
            assert is_shortage(error)


@contextmanager
def small_queue() -> Generator[PostgresServer | None]:
    """A server whose queue of notifications is soon full; None where the server refuses to have one."""
    settings = {"max_notify_queue_pages": "64"}
    if find_binaries(os.environ.get("ROLEBOOK_TEST_PG_BIN")).major >= 17:
        with private_server(settings) as server:
            yield server
        return
    with pytest.raises(EmbeddedError, match="max_notify_queue_pages"), private_server(settings):
        pass
    yield None


async def test_an_index_entry_that_is_too_large_is_its_own_fault(database_url: str) -> None:
    """No waiting helps it."""
    async with await connect_session(database_url, role="test", process="test") as connection:
        large = await failure(
            connection,
            "create temp table t (x text); create index on t (x);"
            " insert into t select string_agg(md5(i::text), '') from generate_series(1, 1000) i",
        )
        assert "54000" == large.sqlstate
        assert Fault.DATA is fault_of(large)
        assert not is_shortage(large)
