"""Whether a commit whose answer was lost has happened. Asked of the server, never guessed."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from random import Random
from typing import final

import psycopg
import trio
from attrs import field, frozen

from rolebook.actors import Backoff

from ..contract import BadData, CommitResult, Conflict, Outdated, Troubles, Untold
from ._certain import execute_certainly
from ._connection import Connection
from ._errors import DatabaseError
from ._faults import Fault, fault_of
from ._markers import Marker, Markers, connect_checked
from ._statements import Statements

_log = logging.getLogger("rolebook.writer")

FAILURES = (psycopg.Error, DatabaseError, trio.TooSlowError, OSError, UnicodeError)
"""What a commit may end with: a refusal, or no answer because the server or the way to it is gone."""


@final
@frozen
class Certainty:
    """What it takes to be certain of the outcome of commits.

    Attributes:
        role: Of the connections, and what failures are told of.
        connect: Opens a connection.
        markers: Of the process.
        schema: Of the runtime's tables.
        deadline: Seconds for one try.
        backoff: Between tries.
        troubles: Is told of each try that failed.
    """

    role: str
    connect: Callable[[], Awaitable[Connection]]
    statements: Statements
    markers: Markers
    schema: str
    deadline: float
    backoff: Backoff
    troubles: Troubles = field(factory=Untold)

    def check(self, marker: Marker) -> None:
        """See that no server forgot since a marker was made: what it stands for is not to be committed.

        Raises:
            ServerForgot: One did.
        """
        if marker.writer != self.markers.writer:
            assert self.markers.forgot is not None
            raise self.markers.forgot

    async def pause(self, error: Exception, attempt: int) -> None:
        """Wait before the next try; say why, unless it was the first, whose connection may just be old."""
        delay = self.backoff.delay(attempt, Random())  # noqa: S311 - jitter
        if fault_of(error) is Fault.CONTENTION:  # no outage: the database works, for somebody else
            _log.warning("a commit was refused (%s); trying again", brief(error))
        elif attempt > 1 or isinstance(error, trio.TooSlowError):
            self.troubles.met(self.role, error, delay)
        await self.troubles.wait(delay)

    @contextmanager
    def trying(self) -> Generator[None]:
        """What is tried in a block goes on at its end, or is given up."""
        try:
            yield
        except BaseException:
            self.troubles.gave_up(self.role)
            raise
        self.troubles.overcome(self.role)

    async def open(self) -> Connection:
        """Open a connection to a server that has forgotten nothing.

        Raises:
            ServerForgot: It has forgotten something; the connection is closed.
        """
        return await connect_checked(self.connect, self.markers, self.statements, deadline=self.deadline)

    async def look_up(
        self,
        marker: Marker,
        error: Exception,
        connected: Callable[[], AbstractAsyncContextManager[Connection]],
    ) -> bool:
        """Say whether the marker's batch committed; wait for the database as long as it takes.

        It writes, so what it finds has come as far as it has itself: to a synchronous standby, if there is
        one.

        Args:
            marker: Of the batch in question.
            error: What came in place of the answer to its commit.
            connected: Gives a connection that is not the broken one.

        Raises:
            ServerForgot: The server has forgotten what came before it; nothing is known of this one.
        """
        _log.info("a commit got no answer (%s); looking up its outcome", brief(error))
        attempt = 0
        while True:
            attempt += 1
            await self.pause(error, attempt)
            try:
                async with connected() as connection:
                    answer = await execute_certainly(
                        connection,
                        self.statements["settle_batch"],
                        (marker.writer, marker.batch),
                        deadline=self.deadline,
                    )
                    void = await answer.fetchone()
            except FAILURES as failure:
                error = failure
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
