"""The transaction of a handler that wants its own SQL to commit with its turn."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from attrs import define

from understudy.actors import Backoff

from .._finished import Finished
from .._rows import Conflict, Refused
from .._store import TurnConflict
from ._batch import batch_parameters
from ._connection import Connection
from ._outcome import LOST_LINK, Marker, look_up, read_refusal
from ._pool import Pool
from ._statements import Statements


@define(eq=False)
class PostgresTurnTransaction:
    """A lent connection inside a transaction."""

    connection: Connection
    pool: Pool[Connection]
    statements: Statements
    deadline: float
    backoff: Backoff

    async def commit(self, turn: Finished) -> None:
        """Commit the handler's SQL, its sends and the acknowledgement; the result is certain."""
        rings = sorted({send.queue for send in turn.sends})
        marker = Marker(uuid.uuid4(), 1)
        try:
            with trio.fail_after(self.deadline):
                await self.connection.execute(
                    self.statements["commit_batch"],
                    (marker.writer, marker.batch, None, *batch_parameters((turn,), rings)),
                )
                await self.connection.execute("commit")
        except LOST_LINK as error:
            refusal = read_refusal(error)
            if isinstance(refusal, Conflict):
                raise TurnConflict(str(error)) from error
            if isinstance(refusal, Refused):
                raise refusal.error from error
            await self.connection.close()
            if not await self._happened(marker):
                raise

    async def _happened(self, marker: Marker) -> bool:
        return await look_up(
            marker,
            self.pool.connection,
            self.statements,
            deadline=self.deadline,
            backoff=self.backoff,
        )


@asynccontextmanager
async def open_turn_transaction(
    pool: Pool[Connection], statements: Statements, *, deadline: float, backoff: Backoff
) -> AsyncGenerator[PostgresTurnTransaction]:
    """Begin a transaction on a pooled connection; the pool rolls back what is not committed."""
    async with pool.connection() as connection:
        await connection.execute("begin")
        yield PostgresTurnTransaction(connection, pool, statements, deadline, backoff)
