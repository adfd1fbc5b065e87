"""Open a connection the way every connection of the runtime is opened."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias

import psycopg
from psycopg._conninfo_utils import get_param
from psycopg.abc import ConnDict
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from ..contract import Ending
from ._connection import Connection
from ._errors import InvalidDatabaseUrl, UnfitSession
from ._probing import Between, Open, find_route
from ._translation import translate

Accept: TypeAlias = Callable[[Connection[Any]], Awaitable[None]]

# A dead link is noticed after 10 + 3 x 5 s when idle, after 15 s when something was sent. The URL wins.
_LINK: Final[Mapping[str, str]] = {
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
# What the runtime does, it cannot do on a standby. The URL and PGTARGETSESSIONATTRS win.
SERVER: Final[Mapping[str, str]] = {"target_session_attrs": "read-write"}
# Of every session, whatever the database or the role has: what our statements need, on lent ones too.
_SETTINGS: Final[Mapping[str, str]] = {
    "TimeZone": "UTC",
    "search_path": "",  # names are schema-qualified everywhere: an attacker's schema cannot shadow one
    "array_nulls": "on",  # arrays travel as texts, with NULL in them
    "client_min_messages": "warning",  # a warning on a commit says that its outcome is unknown
}
# Of those that only our own statements run on. The time limits are Settings.command_deadline and the like.
_OWN: Final[Mapping[str, str]] = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "extra_float_digits": "1",  # the clock is a float
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "standard_conforming_strings": "on",
    "exit_on_error": "off",  # a refused commit is no reason to end the session
    "plpgsql.extra_errors": "none",
    "plpgsql.extra_warnings": "none",
    "enable_indexscan": "on",
    "enable_nestloop": "on",
    "jit": "off",  # settings raise the costs of our statements, which would have each of them compiled
}
# Lets the server notice, while it computes, that the client has gone. Some platforms cannot: see `_set_late`.
_CHECK_CLIENT: Final = ("client_connection_check_interval", "10s")
_POOLERS_WORD: Final = "startup parameter"

_NAME_BYTES: Final = 63  # PostgreSQL cuts an application_name silently


async def accept_any(connection: Connection[Any]) -> None:
    """Take whichever server is there."""
    del connection


async def connect_session(
    url: str,
    *,
    role: str,
    process: str,
    idle_session_timeout: float | None = None,
    statement_timeout: float | None = None,
    isolation: str | None = "read committed",
    prepare_threshold: int | None = 5,
    between: Between = Between.NOBODY,
    accept: Accept = accept_any,
    ending: Ending | None = None,
) -> Connection[TupleRow]:
    """Open a connection in autocommit mode, set up as the runtime needs it, in one connection's round trips.

    The server takes writes, unless the URL says otherwise. The session has UTC, UTF-8 whatever the encoding
    of the database, an empty search_path, keepalives and time limits for a dead link, and
    `rolebook <process> <role>` as its application_name. Other connection parameters and `options` of the URL
    are kept, and beat the defaults; the arguments of this function beat the URL. A pooler that refuses
    `options` gets the settings in statements after the connection is made; unless it shares its sessions:
    there nothing is set, for strangers would find it, and time limits and isolation are what the pooler's
    sessions have.

    Cancelled at any point, it leaves no connection behind.

    Args:
        url: a URL or connection string as libpq takes it.
        role: what the connection is for, such as "listener".
        process: the name of the process or app.
        idle_session_timeout: seconds after which the server ends the session if nothing comes.
        statement_timeout: seconds after which the server cancels a statement.
        isolation: of its transactions, whatever the database's default is; None leaves it at that, with time
            limits, formats and plans: for a session that is lent.
        prepare_threshold: executions until a statement is prepared; None for a pooler that cannot.
        between: who is known to be in between; a pooler that was not known and refuses `options` is probed.
        accept: looks at the server that was connected to; a `psycopg.Error` from it refuses that server, and
            the next host is tried.
        ending: of the runtime: no connection takes longer than that to come to rest.

    Raises:
        InvalidDatabaseUrl: the connection string is wrong.
        DatabaseUnreachable: no server answered, or it is starting or stopping.
        DatabaseRefused: the server said no.
    """
    link = {
        name: value for name, value in {**_LINK, **SERVER}.items() if get_param({}, name) is None
    }  # PGCONNECT_TIMEOUT wins
    params: ConnDict = {
        **link,
        **_parse(url),
        "application_name": application_name(process, role),
        "client_encoding": "UTF8",  # psycopg knows only it for sure: SQL_ASCII gives bytes, LATIN1 no euro
    }
    limits: dict[str, str] = {}
    if idle_session_timeout is not None:
        limits["idle_session_timeout"] = _milliseconds(idle_session_timeout)
    if statement_timeout is not None:
        limits["statement_timeout"] = _milliseconds(statement_timeout)
    if isolation is not None:
        limits["default_transaction_isolation"] = isolation
    defaults = _SETTINGS if isolation is None else {**_SETTINGS, **_OWN}

    async def accept_bounded(connection: Connection[Any]) -> None:
        connection.patience.ending = ending
        await accept(connection)

    accepts = accept if ending is None else accept_bounded
    try:
        return await _connect(params, defaults, limits, prepare_threshold, between=between, accept=accepts)
    except psycopg.Error as error:
        raise translate(error, params) from error


def application_name(process: str, role: str) -> str:
    """Name a connection so that its process and role can be told in `pg_stat_activity`.

    A long process name is cut, so that the role survives.
    """
    room = _NAME_BYTES - len(f"rolebook  {role}".encode())
    cut = process.encode()[: max(0, room)].decode(errors="ignore")
    return f"rolebook {cut} {role}"


def _parse(url: str) -> ConnDict:
    try:
        return conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeError):
        # Not chained: the message of libpq repeats the string, and with it the password.
        remedy = "write it as postgresql://user:password@host:port/database; escape special characters as %XX"
        raise InvalidDatabaseUrl(None, "libpq cannot read it", remedy) from None


async def set_up(connection: Connection[TupleRow]) -> None:
    """Set up a session of our own that was connected to with nothing set."""
    await _set_late(connection, {**_SETTINGS, **_OWN, "default_transaction_isolation": "read committed"})


async def _connect(
    params: ConnDict,
    defaults: Mapping[str, str],
    limits: Mapping[str, str],
    prepare_threshold: int | None,
    *,
    between: Between,
    accept: Accept,
) -> Connection[TupleRow]:
    connect = partial(Connection.connect_if, accept=accept, prepare_threshold=prepare_threshold)
    plain = partial(connect, make_conninfo("", **params))
    refused = ""
    if between in {Between.NOBODY, Between.UNKNOWN}:
        first = _flags({**defaults, _CHECK_CLIENT[0]: _CHECK_CLIENT[1]})
        parts = (first, get_param(params, "options"), _flags(limits))  # the later one wins
        options = " ".join(part for part in parts if part)
        try:
            return await connect(make_conninfo("", **{**params, "options": options}))
        except psycopg.OperationalError as error:
            refused = str(error)
            if not _refuses_options(refused, (*defaults, *limits)):
                raise
    connection = await plain()
    try:
        if _POOLERS_WORD in refused and between is Between.NOBODY:
            between = await _who_refused(connection, plain)
        if between in {Between.NOBODY, Between.SESSIONS}:
            await _set_late(connection, {**defaults, **limits})
    except BaseException:
        await connection.close()
        raise
    return connection


async def _who_refused(connection: Connection[TupleRow], another: Open) -> Between:
    """Find out what may be set. A pooler that has no second session for that gets nothing set."""
    try:
        route = await find_route(connection, another)
    except UnfitSession:
        if connection.closed:
            raise
        return Between.TRANSACTIONS
    if not route.prepares:
        connection.prepare_threshold = None
    return route.between


def _flags(settings: Mapping[str, str]) -> str:
    escaped = {name: value.replace("\\", r"\\").replace(" ", r"\ ") for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def _refuses_options(message: str, settings: Iterable[str]) -> bool:
    """Whether a failed start was about the settings, by a pooler's word or by the server's."""
    return any(word in message for word in (_POOLERS_WORD, _CHECK_CLIENT[0], *settings))


async def _set_late(connection: Connection[TupleRow], settings: Mapping[str, str]) -> None:
    await connection.execute(
        "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS setting (name, value)",
        [list(settings), list(settings.values())],
    )
    # A platform that cannot look finds a dead client when it next writes to it.
    with suppress(psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject):
        await connection.execute("SELECT set_config(%s, %s, false)", _CHECK_CLIENT)


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
