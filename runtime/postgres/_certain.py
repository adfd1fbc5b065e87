"""Execute what commits, so that success means success."""

from __future__ import annotations

from typing import Any, Final

import psycopg
import trio
from psycopg.abc import QueryNoTemplate
from psycopg.errors import Diagnostic

from ._connection import Connection

_RAISED_BY_SOMEBODY: Final = "pl_exec.c"
"""Where the server's source has what RAISE does in a trigger: that is no word on the commit."""


class Doubtful(psycopg.OperationalError):
    """The server acknowledged a commit with a warning: whether it will survive is unknown."""


async def execute_certainly(
    connection: Connection,
    statement: QueryNoTemplate,
    parameters: Any = None,
    *,
    deadline: float,
    **options: Any,
) -> psycopg.AsyncCursor[Any]:
    """Execute a statement whose commit has to be certain when this returns.

    A server that waits for a synchronous standby, and is asked to cancel, answers that the commit succeeded,
    with a warning that the standby may not have it. So the server is never asked: at the deadline, or when
    the task is cancelled, the connection is closed. And a warning, wherever it comes from, is no success.
    What is large takes long to send: as long as it goes on, the deadline moves.

    Args:
        connection: In autocommit mode, or in the transaction that the statement ends.
        statement: What to execute.
        parameters: Of the statement.
        deadline: Seconds without any of it being sent, nor an answer, until it is given up.
        options: As of `Connection.execute`.

    Raises:
        Doubtful: There was a warning; the connection is closed, and the outcome has to be looked up.
        trio.TooSlowError: There was no answer; likewise.
    """
    warnings: list[str] = []

    def note(diagnostic: Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING" and diagnostic.source_file != _RAISED_BY_SOMEBODY:
            warnings.append(diagnostic.message_primary or "a warning")

    settler = connection.settler
    connection.add_notice_handler(note)
    settler.abandons = True
    try:
        with trio.fail_after(deadline) as scope:

            def move() -> None:
                scope.deadline = trio.current_time() + deadline

            settler.sends = move
            answer = await connection.execute(statement, parameters, **options)
    finally:
        settler.abandons, settler.sends = False, None
        connection.remove_notice_handler(note)
    if warnings:
        await connection.close()
        raise Doubtful(f"a commit was acknowledged with a warning: {warnings[0]}")
    return answer
