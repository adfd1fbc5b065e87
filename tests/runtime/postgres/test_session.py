"""How every connection of the runtime is set up, and what it says when that fails."""

import pickle
import struct
from collections.abc import Iterator, Sequence

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from rolebook.runtime.postgres import (
    Connection,
    DatabaseError,
    DatabaseRefused,
    DatabaseUnreachable,
    InvalidDatabaseUrl,
    application_name,
    connect_session,
)
from rolebook.runtime.postgres._translation import translate
from tests.databases import TestServer, drop_database
from tests.proxy import Proxy

from .connections import value


async def settings(connection: Connection[TupleRow], *names: str) -> dict[str, str]:
    return {name: await value(connection, "SELECT current_setting(%s)", name) for name in names}


async def test_a_session_is_set_up(database_url: str) -> None:
    """UTC, an empty search path, its name, a check for a client that has gone, and autocommit."""
    async with await connect_session(database_url, role="listener", process="bank") as connection:
        assert await settings(connection, "application_name", "TimeZone", "search_path") == {
            "application_name": "rolebook bank listener",
            "TimeZone": "UTC",
            "search_path": "",
        }
        assert await settings(connection, "client_connection_check_interval") == {
            "client_connection_check_interval": "10s"
        }
        assert await settings(connection, "idle_session_timeout", "statement_timeout") == {
            "idle_session_timeout": "0",
            "statement_timeout": "0",
        }
        assert connection.autocommit


async def test_time_limits_of_a_session(database_url: str) -> None:
    """The session may be given an idle limit and a limit for statements."""
    async with await connect_session(
        database_url, role="fetcher", process="bank", idle_session_timeout=30, statement_timeout=0.05
    ) as connection:
        assert await settings(connection, "idle_session_timeout", "statement_timeout") == {
            "idle_session_timeout": "30s",
            "statement_timeout": "50ms",
        }
        with pytest.raises(psycopg.errors.QueryCanceled):
            await connection.execute("SELECT pg_sleep(60)")


async def test_the_urls_own_settings_are_kept(database_url: str) -> None:
    """Options and parameters of the URL beat the defaults; the arguments beat the URL."""
    url = make_conninfo(
        database_url,
        options="-c work_mem=7MB -c TimeZone=Europe/Vienna -c idle_session_timeout=1h",
        connect_timeout=77,
        application_name="mine",
    )
    async with await connect_session(url, role="r", process="p", idle_session_timeout=5) as connection:
        assert await settings(connection, "work_mem", "TimeZone", "idle_session_timeout") == {
            "work_mem": "7MB",
            "TimeZone": "Europe/Vienna",
            "idle_session_timeout": "5s",
        }
        assert await settings(connection, "application_name") == {"application_name": "rolebook p r"}
        assert connection.info.get_parameters()["connect_timeout"] == "77"
        assert connection.info.get_parameters()["keepalives_idle"] == "10"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "UTF8"])
async def test_text_is_text_whatever_the_encoding(
    postgres: TestServer, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the database's encoding nor PGCLIENTENCODING decides what Python gets."""
    name = f"in_{encoding.lower()}"
    url = make_conninfo(postgres.url, dbname=name)
    create = sql.SQL("create database {} encoding {} template template0 locale 'C'")
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(create.format(sql.Identifier(name), encoding))
    try:
        monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
        async with await connect_session(url, role="r", process="p") as connection:
            assert await settings(connection, "client_encoding") == {"client_encoding": "UTF8"}
            assert await value(connection, "SELECT %s::text", "Ä") == "Ä"
    finally:
        monkeypatch.undo()
        drop_database(postgres.url, url)


async def test_the_isolation_of_a_session(database_url: str) -> None:
    """The runtime's own sessions are read committed; one that is lent is as the database has it."""
    async with await connect_session(database_url, role="r", process="p") as connection:
        name = sql.Identifier(connection.info.dbname)
        alter = sql.SQL("alter database {} set default_transaction_isolation = 'serializable'")
        await connection.execute(alter.format(name))
    for isolation, expected in (("read committed", "read committed"), (None, "serializable")):
        async with await connect_session(
            database_url, role="r", process="p", isolation=isolation
        ) as connection:
            assert await settings(connection, "transaction_isolation") == {"transaction_isolation": expected}


async def test_a_pooler_that_refuses_options(proxy: Proxy) -> None:
    """Where startup options are refused, the same settings are made by statements."""
    refusal = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
    refusals: list[bytes] = []

    def screen(startup: bytes) -> bytes | None:
        if b"\0options\0" not in startup:
            return None
        refusals.append(startup)
        return b"E" + struct.pack("!i", len(refusal) + 4) + refusal

    proxy.screen = screen
    url = make_conninfo(proxy.url, sslmode="disable", gssencmode="disable")
    async with await connect_session(url, role="r", process="p", idle_session_timeout=5) as connection:
        assert await settings(connection, "TimeZone", "search_path", "idle_session_timeout") == {
            "TimeZone": "UTC",
            "search_path": "",
            "idle_session_timeout": "5s",
        }
        assert await settings(connection, "default_transaction_isolation") == {
            "default_transaction_isolation": "read committed"
        }
        assert await settings(connection, "client_connection_check_interval") == {
            "client_connection_check_interval": "10s"
        }
    assert len(refusals) == 1


def test_the_role_survives_in_a_long_name() -> None:
    """PostgreSQL cuts names at 63 bytes: the process gives way, at a whole character."""
    assert application_name("bank", "writer") == "rolebook bank writer"
    name = application_name("ü" * 60, "writer")
    assert name.endswith(" writer")
    assert len(name.encode()) in (62, 63)


async def test_nobody_listens(proxy: Proxy) -> None:
    """An unreachable server is named, with what to do."""
    await proxy.refuse()
    with pytest.raises(DatabaseUnreachable) as caught:
        await connect_session(make_conninfo(proxy.url, password="hush"), role="r", process="p")
    text = str(caught.value)
    assert "127.0.0.1" in text
    assert "start the server" in text
    assert "hush" not in text
    assert isinstance(caught.value, DatabaseError)


async def test_a_server_that_says_nothing(proxy: Proxy) -> None:
    """A dark server is unreachable after `connect_timeout`."""
    proxy.freeze()
    with pytest.raises(DatabaseUnreachable, match="no answer within 2 s"):
        await connect_session(make_conninfo(proxy.url, connect_timeout=2), role="r", process="p")


async def test_an_unknown_host() -> None:
    """A name that does not resolve is unreachable."""
    with pytest.raises(DatabaseUnreachable, match=r"nowhere\.invalid"):
        await connect_session("host=nowhere.invalid user=x", role="r", process="p")


async def test_a_missing_database(database_url: str) -> None:
    """A database that does not exist is refused by name, with the remedy for that."""
    with pytest.raises(DatabaseRefused) as caught:
        await connect_session(make_conninfo(database_url, dbname="no_such_role"), role="r", process="p")
    assert "'no_such_role'" in str(caught.value)
    assert "createdb" in caught.value.remedy
    assert caught.value.address is not None
    assert caught.value.address.database == "no_such_role"


async def test_an_error_survives_pickling(database_url: str) -> None:
    """Errors can cross a process boundary whole."""
    with pytest.raises(DatabaseRefused) as caught:
        await connect_session(make_conninfo(database_url, dbname="no_such_db"), role="r", process="p")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://user:hush@[half", "postgresql://user:hush%E9@host/db"])
async def test_a_url_that_is_wrong(url: str) -> None:
    """A URL that cannot be read is an error that does not repeat it: it may hold a password."""
    with pytest.raises(InvalidDatabaseUrl) as caught:
        await connect_session(url, role="r", process="p")
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.fixture
def roles(database_url: str) -> Iterator[None]:
    """Two roles of this test: one that needs a password, one that may not connect at all."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        (hba,) = admin.execute("SHOW hba_file").fetchone() or ("",)
        (rules,) = admin.execute("SELECT pg_read_file(%s)", [hba]).fetchone() or ("",)
        admin.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        admin.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
        lines: list[str] = ["local all locked scram-sha-256", "host all locked all scram-sha-256"]
        lines += ["local all crowded trust", "host all crowded all trust", *rules.splitlines()]
        try:
            _write(admin, hba, lines)
            yield
        finally:
            _write(admin, hba, rules.splitlines())
            admin.execute("DROP ROLE locked, crowded")


def _write(admin: psycopg.Connection[TupleRow], path: str, lines: Sequence[str]) -> None:
    """Write a file of the server, and have the server read its configuration again."""
    content = "\n".join(lines).encode() + b"\n"
    (oid,) = admin.execute("SELECT lo_from_bytea(0, %s)", [content]).fetchone() or (0,)
    admin.execute("SELECT lo_export(%s, %s), lo_unlink(%s)", [oid, path, oid])
    # A session sees the new time only after the server itself has begun to read its files.
    (before,) = admin.execute("SELECT pg_conf_load_time()").fetchone() or (None,)
    admin.execute("SELECT pg_reload_conf()")
    while admin.execute("SELECT pg_conf_load_time()").fetchone() == (before,):
        pass


@pytest.mark.usefixtures("roles")
async def test_a_wrong_password(database_url: str) -> None:
    """A wrong password, or none, is refused with the user named and the password left out."""
    wrong = make_conninfo(database_url, user="locked", password="hush")
    with pytest.raises(DatabaseRefused) as caught:
        await connect_session(wrong, role="r", process="p")
    assert "'locked'" in str(caught.value)
    assert "check the user and the password" in caught.value.remedy
    assert "hush" not in str(caught.value)
    with pytest.raises(DatabaseRefused, match="PGPASSWORD"):
        await connect_session(make_conninfo(database_url, user="locked"), role="r", process="p")


@pytest.mark.usefixtures("roles")
async def test_too_many_connections(database_url: str) -> None:
    """A server that has no connection left says whose limit it is."""
    with pytest.raises(DatabaseRefused) as caught:
        await connect_session(make_conninfo(database_url, user="crowded"), role="r", process="p")
    assert "too many connections" in caught.value.reason
    assert "use fewer connections" in caught.value.remedy


@pytest.mark.parametrize("severity", ["FATAL", "\u0412\u0410\u0416\u041d\u041e", "\u81f4\u547d\u9519\u8bef"])
def test_a_refusal_in_another_language(severity: str) -> None:
    """Whatever the server's word for it: it was there, so nobody is told to start it."""
    said = f'connection to server at "db", port 5432 failed: {severity}:  n\u00f3n'
    error = translate(psycopg.OperationalError(said), {"host": "db", "dbname": "x", "user": "me"})
    assert isinstance(error, DatabaseRefused)
    assert "see the reason" in error.remedy


def test_a_server_that_is_not_there_in_another_language() -> None:
    """What libpq says itself is no answer of a server."""
    said = 'connection to server at "db", port 5432 failed: abgelehnt\n\tL\u00e4uft der Server?'
    error = translate(psycopg.OperationalError(said), {"host": "db", "dbname": "x", "user": "me"})
    assert isinstance(error, DatabaseUnreachable)
    assert "start the server" in error.remedy
