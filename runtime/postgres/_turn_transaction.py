"""The transaction of a handler that wants its own SQL to commit with its turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from attrs import define
from psycopg.pq import TransactionStatus

from rolebook.actors import Backoff, RolebookError

from ..contract import BadData, CommitUnit, Conflict, TurnConflict
from ._batch import batch_parameters
from ._connection import Connection
from ._outcome import FAILURES, Marker, Markers, look_up, read_refusal
from ._pool import Pool
from ._statements import Statements


@define(eq=False)
class PostgresTurnTransaction:
    """A lent connection inside a transaction."""

    connection: Connection
    connect: Callable[[], Awaitable[Connection]]
    statements: Statements
    markers: Markers
    deadline: float
    backoff: Backoff

    async def commit(self, unit: CommitUnit) -> None:
        """Commit the handler's SQL, its sends and the acknowledgement; the result is certain."""
        if self.connection.info.transaction_status == TransactionStatus.IDLE:
            raise RolebookError(
                "the handler ended its transaction itself: what it did is not one with its turn."
                " Leave commit and rollback to the turn; `connection.transaction()` gives a savepoint"
            )
        rings = sorted({(send.queue, send.partition) for send in unit.sends})
        marker = self.markers.new()
        try:
            with trio.fail_after(self.deadline):
                await self.connection.execute(
                    self.statements["commit_turn"],
                    (*marker.parameters, *batch_parameters((unit,), rings)),
                )
                await self.connection.execute("commit")
        except FAILURES as error:
            refusal = read_refusal(error)
            if refusal is not None:
                self.markers.settle(marker, committed=False)
            if isinstance(refusal, Conflict):
                raise TurnConflict(str(error)) from error
            if isinstance(refusal, BadData):
                raise
            await self.connection.close()
            committed = await self._happened(marker)
            self.markers.settle(marker, committed=committed)
            if not committed:
                raise
        else:
            self.markers.settle(marker, committed=True)

    async def _happened(self, marker: Marker) -> bool:
        return await look_up(
            marker,
            self._another,
            self.statements,
            deadline=self.deadline,
            backoff=self.backoff,
        )

    @asynccontextmanager
    async def _another(self) -> AsyncGenerator[Connection]:
        """A connection past the pool: turns whose links broke with this one may hold all of its places."""
        async with await self.connect() as connection:
            yield connection


@asynccontextmanager
async def open_turn_transaction(
    pool: Pool[Connection],
    connect: Callable[[], Awaitable[Connection]],
    statements: Statements,
    markers: Markers,
    *,
    deadline: float,
    backoff: Backoff,
) -> AsyncGenerator[PostgresTurnTransaction]:
    """Begin a transaction on a pooled connection; the pool rolls back what is not committed."""
    async with pool.connection() as connection:
        await connection.execute("begin")
        yield PostgresTurnTransaction(connection, connect, statements, markers, deadline, backoff)
