"""Whether a commit whose answer was lost has happened. Asked of the server, never guessed."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random

import psycopg
import trio
from attrs import define, field, frozen

from rolebook.actors import Backoff

from ..contract import BadData, CommitResult, Conflict
from ._connection import Connection
from ._errors import DatabaseError
from ._statements import Statements

_log = logging.getLogger("rolebook.writer")

FAILURES = (psycopg.Error, DatabaseError, trio.TooSlowError, OSError, UnicodeError)
"""What a commit may end with: a refusal, or no answer because the server or the way to it is gone."""

_CONFLICT = "US001"
_REFUSED_CLASSES = frozenset({"23", "54"})
"""Errors of the data besides what it says: what it collides with, how large it is."""
_PROGRAM_CLASS = "42"


@frozen
class Marker:
    """The unique row that a batch inserts in its own transaction.

    After a break somebody tries to insert it on a new connection. If the lost
    commit is still under way, that waits for it. If it committed, the marker is
    there. If it did not, it never can any more: the marker is taken.
    """

    writer: uuid.UUID
    batch: int
    forget: int | None = None
    """The batch whose marker this commit deletes: its outcome is known, nobody will ask again."""

    @property
    def parameters(self) -> tuple[str, str, str | None]:
        """Writer, batch and forget as texts: numbers would be prepared anew for each size they come in."""
        return str(self.writer), str(self.batch), None if self.forget is None else str(self.forget)


@define(eq=False)
class Markers:
    """Gives out markers, and sees to it that they do not pile up: each commit deletes an earlier one's."""

    _writer: uuid.UUID = field(factory=uuid.uuid4)
    _batch: int = 0
    _settled: list[int] = field(factory=list[int])

    def new(self) -> Marker:
        """Return a marker that was never used."""
        self._batch += 1
        return Marker(self._writer, self._batch, self._settled.pop() if self._settled else None)

    def settle(self, marker: Marker, *, committed: bool) -> None:
        """Take note of an outcome. A void marker stays: it keeps a late request from committing."""
        if committed:
            self._settled.append(marker.batch)
        elif marker.forget is not None:
            self._settled.append(marker.forget)


async def look_up(
    marker: Marker,
    open_connection: Callable[[], AbstractAsyncContextManager[Connection]],
    statements: Statements,
    *,
    deadline: float,
    backoff: Backoff,
) -> bool:
    """Say whether the marker's batch committed; wait for the database as long as it takes.

    Args:
        marker: Of the batch in question.
        open_connection: Gives a connection that is not the broken one.
        statements: Of the schema.
        deadline: Seconds for one try.
        backoff: Between tries.
    """
    attempt = 0
    while True:
        attempt += 1
        await trio.sleep(backoff.delay(attempt, Random()))  # noqa: S311 - jitter
        try:
            with trio.fail_after(deadline):
                async with open_connection() as connection:
                    answer = await connection.execute(
                        statements["settle_batch"], (marker.writer, marker.batch)
                    )
                    void = await answer.fetchone()
        except FAILURES as error:
            _log.warning("the outcome of a commit is still unknown (%s); trying again", brief(error))
        else:
            committed = void == (False,)
            _log.info("the commit %s", "had succeeded" if committed else "had not happened")
            return committed


def read_refusal(error: Exception) -> CommitResult | None:
    """Read the server's answer to a commit; None when it gave none, or one that may pass."""
    if isinstance(error, (psycopg.DataError, UnicodeError)):
        return BadData(error)  # from the server, or from the driver that did not even send it
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        if isinstance(error, psycopg.ProgrammingError):
            raise error  # the driver cannot send what this program made
        return None
    if error.sqlstate == _CONFLICT:
        detail = json.loads(error.diag.message_detail or "{}")
        return Conflict(
            frozenset((queue, partition) for queue, partition in detail.get("stale", ())),
            frozenset(detail.get("missing", ())),
            frozenset(detail.get("repeated", ())),
        )
    if error.sqlstate[:2] in _REFUSED_CLASSES:
        return BadData(error)
    if error.sqlstate[:2] == _PROGRAM_CLASS:
        raise error  # the schema lacks what this version needs: no retry helps
    return None


def brief(error: Exception) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
