"""The writer's session: one transaction for each batch, and a certain outcome."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence

import psycopg
import trio
from attrs import define, field

from understudy.actors import Backoff

from .._finished import Finished
from .._rows import CommitResult, Committed, Conflict, Refused
from ._batch import batch_parameters
from ._connection import Connection
from ._errors import DatabaseError
from ._statements import Statements

_log = logging.getLogger("understudy.writer")

_CONFLICT = "US001"
_REFUSED_CLASSES = frozenset({"22", "23", "54"})
"""Errors of the data: what it says, what it collides with, how large it is."""


@define(eq=False)
class PostgresWriteSession:
    """Commits batches on one connection, which it replaces when it breaks.

    A commit whose answer is lost is not guessed. Each batch inserts a marker
    with a unique key in its own transaction. After a break the session tries
    to insert that marker itself, on a new connection: if the lost commit is
    still under way, this waits for it; if it committed, the marker is there;
    if it did not, it never can any more, because now the marker is ours.
    """

    connect: Callable[[], Awaitable[Connection]]
    statements: Statements
    deadline: float
    backoff: Backoff
    _connection: Connection | None = None
    _writer: uuid.UUID = field(factory=uuid.uuid4)
    _batch: int = 0
    _forget: int | None = None

    async def commit(self, turns: Sequence[Finished], rings: Sequence[str]) -> CommitResult:
        """Commit some turns in one transaction, or none of them; the result is certain."""
        tail = batch_parameters(turns, rings)
        attempt = 0
        while True:
            self._batch += 1
            try:
                connection = await self._connected()
                with trio.fail_after(self.deadline):
                    await connection.execute(
                        self.statements["commit_batch"],
                        (self._writer, self._batch, self._forget, *tail),
                    )
            except (psycopg.Error, DatabaseError, trio.TooSlowError, OSError) as error:
                verdict = _verdict(error)
                if verdict is not None:
                    return verdict
                attempt += 1
                if await self._settle(error, attempt):
                    self._forget = self._batch
                    return Committed()
            else:
                self._forget = self._batch
                return Committed()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await self.connect()
        return self._connection

    async def _settle(self, error: Exception, attempt: int) -> bool:
        """Find out whether the batch committed; wait for the database as long as it takes."""
        _log.warning("a commit got no answer (%s); looking up its outcome", _brief(error))
        while True:
            await trio.sleep(self.backoff.delay(attempt))
            attempt += 1
            try:
                if self._connection is not None and not isinstance(error, psycopg.Error):
                    await self._connection.close()  # it ran out of time: its state is unknown
                connection = await self._connected()
                with trio.fail_after(self.deadline):
                    marker = await connection.execute(
                        self.statements["settle_batch"], (self._writer, self._batch)
                    )
                    committed = await marker.fetchone() == (False,)
            except (psycopg.Error, DatabaseError, trio.TooSlowError, OSError) as again:
                error = again
                _log.warning("the outcome is still unknown (%s); trying again", _brief(again))
            else:
                _log.info("the commit %s", "had succeeded" if committed else "had failed; repeating it")
                return committed


def _verdict(error: Exception) -> CommitResult | None:
    """Read the server's answer; None when it gave none, or one that may pass."""
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return None
    if error.sqlstate == _CONFLICT:
        detail = json.loads(error.diag.message_detail or "{}")
        return Conflict(
            frozenset((queue, partition) for queue, partition in detail.get("stale", ())),
            frozenset(detail.get("missing", ())),
        )
    if error.sqlstate[:2] in _REFUSED_CLASSES:
        return Refused(error)
    if error.sqlstate[:2] == "42":
        raise error  # the schema lacks what this version needs: no retry helps
    return None


def _brief(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
