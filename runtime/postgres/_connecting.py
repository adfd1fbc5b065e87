"""Make a connection: one attempt after the other, each in its own time."""

from collections.abc import Callable
from typing import TypeVar

import psycopg
import trio
from psycopg.abc import ConnDict, PQGenConn
from psycopg.conninfo import make_conninfo, timeout_from_conninfo

from ._addresses import connection_attempts
from ._waiting import drive_connecting

_T = TypeVar("_T")


async def connect_to_any(params: ConnDict, connect: Callable[[str], PQGenConn[_T]]) -> _T:
    """Make the first connection that succeeds of all that `params` stand for.

    Args:
        params: connection parameters; `connect_timeout` (seconds, at least 2) holds for each attempt.
        connect: makes the generator that connects to one address.

    Raises:
        psycopg.OperationalError: every attempt failed; the message tells each.
    """
    timeout = timeout_from_conninfo(params)
    failures: list[tuple[psycopg.Error, str]] = []
    for attempt in await connection_attempts(params, lookup_seconds=timeout):
        where = ", ".join(f"{name}: {attempt.get(name)!r}" for name in ("host", "port", "hostaddr"))
        try:
            with trio.fail_after(timeout):
                return await drive_connecting(connect(make_conninfo("", **attempt)))
        except trio.TooSlowError:
            failures.append((psycopg.errors.ConnectionTimeout(f"no answer within {timeout} s"), where))
        except psycopg.Error as error:
            failures.append((error, where))
    raise _summary(failures)


def _summary(failures: list[tuple[psycopg.Error, str]]) -> psycopg.Error:
    """One error for all attempts, of the class of the last one, as psycopg and libpq report it."""
    last = failures[-1][0]
    if len(failures) == 1:
        return last.with_traceback(None)
    lines = [str(last), "Multiple connection attempts failed. All failures were:"]
    lines += [f"- {where}: {error}" for error, where in failures]
    return type(last)("\n".join(lines), pgconn=last.pgconn)
