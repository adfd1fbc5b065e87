"""Make a connection: one attempt after the other, each in its own time.

psycopg's generator would keep the connection it is making to itself. Made here, it has an owner who closes it
by name when the attempt fails or is given up: left to the collector, it stays open for as long as some
traceback keeps a frame.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import psycopg
import trio
from psycopg import pq
from psycopg._encodings import conninfo_encoding
from psycopg.abc import ConnDict, PQGenConn
from psycopg.conninfo import make_conninfo, timeout_from_conninfo
from psycopg.errors import finish_pgconn
from psycopg.pq import ConnStatus, PollingStatus
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait

from ._addresses import connection_attempts
from ._waiting import drive_connecting


class _Closable(Protocol):
    async def close(self) -> None: ...


_C = TypeVar("_C", bound=_Closable)

TIMED_OUT: Final = "connection timeout expired"  # as psycopg says it


async def connect_to_any(
    params: ConnDict,
    make: Callable[[PGconn], _C],
    accept: Callable[[_C], Awaitable[None]] | None = None,
) -> _C:
    """Make the first connection that succeeds, and is accepted, of all that `params` stand for.

    Args:
        params: connection parameters; `connect_timeout` (seconds, at least 2) holds for each attempt.
        make: makes the connection of what libpq calls one.
        accept: looks at what was made; a `psycopg.Error` from it refuses that server.

    Raises:
        psycopg.OperationalError: every attempt failed; the message tells each.
    """
    timeout = timeout_from_conninfo(params)
    failures: list[tuple[psycopg.Error, str]] = []
    for attempt in await connection_attempts(params, lookup_seconds=timeout):
        where = ", ".join(f"{name}: {attempt.get(name)!r}" for name in ("host", "port", "hostaddr"))
        try:
            with trio.fail_after(timeout):
                connection = make(await _connect(make_conninfo("", **attempt)))
                if accept is not None:
                    await _accepted(connection, accept)
                return connection
        except trio.TooSlowError:
            failures.append((psycopg.errors.ConnectionTimeout(TIMED_OUT), where))
        except psycopg.Error as error:
            failures.append((error, where))
    raise _summary(failures)


async def _accepted(connection: _C, accept: Callable[[_C], Awaitable[None]]) -> None:
    try:
        await accept(connection)
    except BaseException:
        await connection.close()
        raise


async def _connect(conninfo: str) -> PGconn:
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    try:
        await drive_connecting(_poll(pgconn, conninfo_encoding(conninfo)))
    except BaseException:
        pgconn.finish()
        raise
    pgconn.nonblocking = 1
    return pgconn


def _poll(pgconn: PGconn, encoding: str) -> PQGenConn[None]:
    """Take libpq from step to step, with the messages of psycopg."""
    while True:
        if pgconn.status == ConnStatus.BAD:
            raise _failure("connection is bad", pgconn, encoding)
        status = pgconn.connect_poll()
        if status == PollingStatus.OK:
            return
        if status not in (PollingStatus.READING, PollingStatus.WRITING):
            raise _failure("connection failed", pgconn, encoding)
        wanted = Wait.R if status == PollingStatus.READING else Wait.W
        while not (yield pgconn.socket, wanted):
            continue


def _failure(what: str, pgconn: PGconn, encoding: str) -> psycopg.OperationalError:
    message = f"{what}: {pgconn.get_error_message(encoding)}"
    return psycopg.OperationalError(message, pgconn=finish_pgconn(pgconn))


def _summary(failures: list[tuple[psycopg.Error, str]]) -> psycopg.Error:
    """One error for all attempts, of the class of the last one, as psycopg and libpq report it."""
    last = failures[-1][0]
    if len(failures) == 1:
        return last.with_traceback(None)
    lines = [str(last), "Multiple connection attempts failed. All failures were:"]
    lines += [f"- {where}: {error}" for error, where in failures]
    return type(last)("\n".join(lines), pgconn=last.pgconn)
