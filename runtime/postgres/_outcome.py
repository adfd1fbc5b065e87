"""Whether a commit whose answer was lost has happened. Asked of the server, never guessed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random

import psycopg
import trio

from rolebook.actors import Backoff

from ..contract import BadData, CommitResult, Conflict, Outdated
from ._certain import execute_certainly
from ._connection import Connection
from ._errors import DatabaseError
from ._faults import Fault, fault_of
from ._markers import Marker
from ._statements import Statements

_log = logging.getLogger("rolebook.writer")

FAILURES = (psycopg.Error, DatabaseError, trio.TooSlowError, OSError, UnicodeError)
"""What a commit may end with: a refusal, or no answer because the server or the way to it is gone."""


async def look_up(
    marker: Marker,
    open_connection: Callable[[], AbstractAsyncContextManager[Connection]],
    statements: Statements,
    *,
    deadline: float,
    backoff: Backoff,
) -> bool:
    """Say whether the marker's batch committed; wait for the database as long as it takes.

    It writes, so what it finds has come as far as it has itself: to a synchronous standby, if there is one.

    Args:
        marker: Of the batch in question.
        open_connection: Gives a connection that is not the broken one.
        statements: Of the schema.
        deadline: Seconds for one try.
        backoff: Between tries.

    Raises:
        ServerForgot: The server has forgotten what came before it; nothing is known of this one.
    """
    attempt = 0
    while True:
        attempt += 1
        await trio.sleep(backoff.delay(attempt, Random()))  # noqa: S311 - jitter
        try:
            async with open_connection() as connection:
                answer = await execute_certainly(
                    connection,
                    statements["settle_batch"],
                    (marker.writer, marker.batch),
                    deadline=deadline,
                )
                void = await answer.fetchone()
        except FAILURES as error:
            _log.warning("the outcome of a commit is still unknown (%s); trying again", brief(error))
        else:
            committed = void == (False,)
            _log.info("the commit %s", "had succeeded" if committed else "had not happened")
            return committed


def read_refusal(error: Exception, schema: str) -> CommitResult | None:
    """Read the server's answer to a commit; None when it gave none, or one that may pass.

    Args:
        error: What the commit ended with.
        schema: Of the runtime's tables.
    """
    if not isinstance(error, psycopg.Error):
        return BadData(error) if fault_of(error) is Fault.DATA else None
    if fault_of(error) is Fault.CONFLICT:
        detail = json.loads(error.diag.message_detail or "{}")
        if detail.get("outdated"):
            return Outdated()
        return Conflict(
            bool(detail.get("elsewhere")),
            frozenset((queue, partition) for queue, partition in detail.get("stale", ())),
            frozenset(detail.get("missing", ())),
            frozenset(detail.get("repeated", ())),
        )
    diag = error.diag
    if (diag.schema_name, diag.table_name, diag.constraint_name) == (schema, "events", "events_pkey"):
        return Outdated()
    return BadData(error) if fault_of(error) is Fault.DATA else None


def brief(error: Exception) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
