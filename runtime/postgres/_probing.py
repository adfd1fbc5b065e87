"""What lies between this program and the server: nothing, or a pooler, and of which kind.

A pooler in transaction mode gives a session another backend for each transaction, and gives its backend to
strangers in between. Locks of the session are then held by whoever comes next, LISTEN hears nothing, and what
was SET is found by others. Nothing announces it, so it is tried: what a session is good for is what it does.

1. A session whose backend is not the one that was named when it started talks to somebody in between.
2. While a second session is in a transaction, the first one must have the backend that it had, and not the
   second one's, and nobody may have used it meanwhile. A pooler shows itself at the first look, whether it
   gives out the backend used last or goes round; a busy one is looked at several times.
3. A lock that one session holds must be refused to another, and be free when that one has ended: where locks
   do nothing two processes would own one partition, and where a pooler does not clean up, nobody would.
4. A pooler that can carry prepared statements gives them names of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from functools import partial
from random import SystemRandom
from typing import Any, Final, NamedTuple, TypeAlias, final

import psycopg
import trio
from attrs import frozen
from psycopg import capabilities, generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from ._connection import Connection
from ._errors import DatabaseAddress, UnfitSession

PATIENCE: Final = 5.0
"""Seconds that one step of the probe may take: a pooler without a free backend lets a session wait."""

_LOOKS: Final = 10
"""At a pooler: a stranger may have given back another backend just before the second session wanted one."""

_BITS: Final = 62

_WHO: Final = (
    b"select pg_backend_pid(), (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint,"
    b" (select oid::bigint from pg_catalog.pg_database where datname = current_database()),"
    b" (extract(epoch from statement_timestamp()) * 1000000)::bigint,"
    b" (select (extract(epoch from query_start) * 1000000)::bigint from pg_catalog.pg_stat_activity"
    b"  where pid = %d)"
)
"""Who answers, when; and when another backend was last asked something."""

_DIRECT: Final = (
    "give direct_url=, a URL past the pooler, for the sessions that own partitions and listen;"
    " all others may go through it"
)

Open: TypeAlias = Callable[[], Awaitable[Connection[Any]]]


@final
class Between(Enum):
    """Who answers in the server's place."""

    NOBODY = auto()
    """The server itself, for all that is known."""
    SESSIONS = auto()
    """A pooler that gives each session a backend until it ends."""
    TRANSACTIONS = auto()
    """A pooler that gives each transaction a backend: no session has anything of its own."""
    UNKNOWN = auto()
    """Nobody has looked yet: what the start of a session cannot set is not set later."""


@final
@frozen
class Route:
    """What was found on the way to the server.

    Attributes:
        between: Who is in between.
        reason: How that showed.
        prepares: Whether a statement that was prepared can be used in a later transaction.
    """

    between: Between
    reason: str
    prepares: bool = True


class _Answer(NamedTuple):
    """A backend's number, with its server and database, and the times: its own, and another backend's."""

    pid: int
    server: int
    database: int
    asked: int
    other_asked: int | None


async def find_route(connection: Connection[Any], another: Open) -> Route:
    """Find out who is in between; nothing stays behind in a session, whoever has it next.

    Four round trips and the opening of a second connection. A pooler that keeps sessions apart is looked at
    nine times more, with five round trips each. One that shares them is asked for prepared statements, with
    five, and takes three before that if it is idle.

    Args:
        connection: In autocommit mode.
        another: Opens a second connection to the same place.

    Raises:
        UnfitSession: A second session, or a transaction, is not to be had.
        psycopg.Error: The link broke.
    """
    async with await another() as other:
        return await _look(connection, other)


async def find_session_route(connection: Connection[Any], another: Open) -> Route:
    """As `find_route`, and refuse what sessions with locks cannot work through; two more round trips.

    Raises:
        UnfitSession: Sessions are shared, or their locks hold nobody off, or outlive them.
        psycopg.Error: The link broke.
    """
    key = SystemRandom().getrandbits(_BITS)
    async with await another() as other:
        route = await _look(connection, other)
        if route.between is Between.TRANSACTIONS:
            reason = f"a pooler in transaction mode is in between: {route.reason}"
            raise _unfit(connection, reason, _DIRECT)
        await _check_lock(connection, other, key)
    if route.between is Between.SESSIONS:
        await _check_unlocked(connection, key)
    return route


async def check_same_database(session: Connection[Any], other: Connection[Any]) -> None:
    """Refuse two URLs of which one leads elsewhere; four round trips, with those of a transaction.

    Raises:
        UnfitSession: What one of them locks the other one can lock as well.
        psycopg.Error: A link broke.
    """
    key = SystemRandom().getrandbits(_BITS)
    async with _in_time(other), other.transaction():
        await other.execute("select pg_advisory_xact_lock(%s)", (key,))
        if await _can_lock(session, key):
            where = _address(other)
            raise _unfit(
                session,
                f"a lock that was taken through the other URL ({where}) is free here",
                "let direct_url and the database's URL lead to the same database of the same server",
            )


async def _look(connection: Connection[Any], other: Connection[Any]) -> Route:
    async with _in_time(connection):
        first = await _who(connection)
        named = connection.info.backend_pid
        if first.pid == named:
            looks, apart = 1, Route(Between.NOBODY, f"the backend is the one that was named, {named}")
        else:
            looks = _LOOKS
            apart = Route(Between.SESSIONS, f"the backend is {first.pid}, and {named} was named")
        reason = await _shared(connection, first, other)
        while reason is None and (looks := looks - 1):
            # Twice: the first time the backend of the other session would be the one used last. And of two
            # backends that go round this session and the other one might each get the same one every time.
            before = await _who(connection)
            again = await _who(connection)
            moved = _moved(first, before) or _moved(before, again)
            reason = moved or await _shared(connection, again, other)
        if reason is None:
            return apart
        return Route(Between.TRANSACTIONS, reason, await _renames_statements(connection))


async def _shared(connection: Connection[Any], before: _Answer, other: Connection[Any]) -> str | None:
    """Say how it shows that two sessions do not each have a backend."""
    second = await _who(other, before.pid, begin=True)
    _check_server(connection, before, second)
    reason: str | None
    if second.pid == before.pid:
        # The first one is not asked: if there is no other backend, it would wait for this transaction.
        reason = f"two sessions had the same backend, {before.pid}"
    elif second.other_asked not in {before.asked, None}:
        reason = f"somebody else had the backend of a session, {before.pid}"
    else:
        reason = _moved(before, await _who(connection))
    await other.rollback()
    return reason


def _moved(before: _Answer, after: _Answer) -> str | None:
    if before.pid == after.pid:
        return None
    return f"one session had two backends, {before.pid} and then {after.pid}"


def _check_server(connection: Connection[Any], first: _Answer, second: _Answer) -> None:
    if (first.server, first.database) != (second.server, second.database):
        reason = "two connections of one URL lead to two servers"
        raise _unfit(connection, reason, "let it lead to one, as with target_session_attrs=read-write")


async def _check_lock(connection: Connection[Any], other: Connection[Any], key: int) -> None:
    async with _in_time(connection):
        await other.execute("select pg_advisory_lock(%s)", (key,))
        if await _can_lock(connection, key):
            raise _unfit(
                connection,
                "an advisory lock that one session holds was given to a second one",
                "use PostgreSQL itself: without these locks two processes would own one partition",
            )


async def _check_unlocked(connection: Connection[Any], key: int) -> None:
    """The pooler has a moment: it cleans a session up after its client has gone."""
    with trio.move_on_after(PATIENCE):
        await connection.execute("select pg_advisory_xact_lock(%s)", (key,))
        return
    raise _unfit(
        connection,
        f"a pooler kept an ended session's advisory lock for {PATIENCE:g} s",
        "let the pooler clean up, in PgBouncer with server_reset_query = DISCARD ALL; or " + _DIRECT,
    )


async def _can_lock(connection: Connection[Any], key: int) -> bool:
    answer = await connection.execute("select pg_try_advisory_xact_lock_shared(%s)", (key,))
    return await answer.fetchone() != (False,)


async def _who(connection: Connection[Any], other: int = 0, *, begin: bool = False) -> _Answer:
    """Ask for the backend; in one round trip, also if a transaction is to begin with it."""
    answer = await connection.execute((b"begin; " if begin else b"") + _WHO % other, prepare=False)
    while answer.nextset():
        pass
    row = await answer.fetchone()
    assert row is not None
    return _Answer(*row)


async def _renames_statements(connection: Connection[Any]) -> bool:
    """Whether a pooler keeps track of prepared statements: then the backend knows them by another name.

    Otherwise each backend has what it was given, and two sessions give two statements one name. With a
    libpq that cannot close a statement by the protocol, psycopg sends a DEALLOCATE with the name, which
    no pooler translates.
    """
    if not capabilities.has_send_close_prepared():
        return False
    name, known = f"rolebook_{SystemRandom().getrandbits(_BITS):x}", True
    with suppress(psycopg.Error):
        async with connection.transaction():
            await _do(connection, partial(connection.pgconn.send_prepare, name.encode(), b"select 1"))
            answer = await connection.execute(
                "select exists (select from pg_catalog.pg_prepared_statements where name = %s)", (name,)
            )
            known = await answer.fetchone() != (False,)
            await _do(connection, partial(connection.pgconn.send_close_prepared, name.encode()))
    return not known


async def _do(connection: Connection[Any], send: Callable[[], None]) -> None:
    async with connection.lock:
        await connection.wait(_exchange(connection.pgconn, send))


def _exchange(pgconn: PGconn, send: Callable[[], None]) -> PQGen[None]:
    send()
    for result in (yield from generators.execute(pgconn)):
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result)


@asynccontextmanager
async def _in_time(connection: Connection[Any]) -> AsyncGenerator[None]:
    """Refuse a pooler that lets wait, or that says no to a transaction."""
    try:
        with trio.fail_after(PATIENCE):
            yield
    except trio.TooSlowError:
        reason = f"a second session got no answer within {PATIENCE:g} s while there was a first one"
        remedy = "let the pooler have more server connections; or " + _DIRECT
        raise _unfit(connection, reason, remedy) from None
    except psycopg.errors.ProtocolViolation as error:  # what poolers say in their own name
        remedy = "let the pooler give out whole transactions, or, without a direct_url, whole sessions"
        raise _unfit(connection, str(error), remedy) from error


def _address(connection: Connection[Any]) -> DatabaseAddress:
    info = connection.info
    return DatabaseAddress(info.host, str(info.port), info.user, info.dbname)


def _unfit(connection: Connection[Any], reason: str, remedy: str) -> UnfitSession:
    return UnfitSession(_address(connection), reason, remedy)
