"""The transaction of a handler that wants its own SQL to commit with its turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import psycopg
import trio
from attrs import define
from psycopg.pq import TransactionStatus

from rolebook.actors import RolebookError

from ..contract import CommitUnit, Conflict, Elsewhere, Outdated, TurnConflict
from ._batch import batch_parameters
from ._certain import execute_certainly
from ._connection import Connection
from ._faults import did_nothing
from ._markers import Marker
from ._outcome import FAILURES, Certainty, read_refusal
from ._pool import Pool


@define(eq=False)
class PostgresTurnTransaction:
    """A lent connection inside a transaction."""

    connection: Connection
    certainty: Certainty

    def was_cut(self, error: Exception) -> bool:
        """Say whether a turn failed with this error because the link of its transaction broke."""
        return self.connection.closed and isinstance(error, psycopg.OperationalError | trio.TooSlowError)

    async def commit(self, unit: CommitUnit) -> None:
        """Commit the handler's SQL, its sends and the acknowledgement; the result is certain.

        Raises:
            TurnConflict: Another process has handled the message.
            Elsewhere: The session that the turn stands on does not live where this ran.
            ServerForgot: The server forgot commits that it had acknowledged.
            psycopg.Error: The server refused; in this case as in the others nothing was committed.
        """
        if self.connection.info.transaction_status == TransactionStatus.IDLE:
            raise RolebookError(
                "the handler ended its transaction itself: what it did is not one with its turn."
                " Leave commit and rollback to the turn; `connection.transaction()` gives a savepoint"
            )
        marker = self.certainty.markers.new()
        try:
            await self._commit(marker, unit)
        except FAILURES as error:
            if did_nothing(error) or not await self._happened(marker, error):
                self._settle(marker, None)
                if (told := self._told(error)) is not None:
                    raise told from error
                raise
        self._settle(marker, unit)

    async def _commit(self, marker: Marker, unit: CommitUnit) -> None:
        rings = sorted({(send.queue, send.partition) for send in unit.sends})
        nonce = None if unit.fence is None else unit.fence.nonce
        parameters = (*marker.parameters, *batch_parameters((unit,), rings, nonce))
        deadline = self.certainty.deadline
        with trio.fail_after(deadline):
            await self.connection.execute(self.certainty.statements["commit_turn"], parameters)
        await execute_certainly(self.connection, "commit", deadline=deadline)

    def _settle(self, marker: Marker, unit: CommitUnit | None) -> None:
        forgot = self.certainty.markers.settle(marker, None if unit is None else (unit,))
        if forgot is not None:
            raise forgot

    def _told(self, error: Exception) -> Exception | None:
        """Return what is said of a commit that did not happen; None for the error itself."""
        refusal = read_refusal(error, self.certainty.schema)
        if isinstance(refusal, Conflict) and refusal.elsewhere:
            return Elsewhere(str(error))
        if isinstance(refusal, Conflict | Outdated):
            return TurnConflict(str(error))
        return None

    async def _happened(self, marker: Marker, error: Exception) -> bool:
        await self.connection.close()
        with self.certainty.trying():
            return await self.certainty.look_up(marker, error, self._another)

    @asynccontextmanager
    async def _another(self) -> AsyncGenerator[Connection]:
        """A connection past the pool: turns whose links broke with this one may hold all of its places."""
        async with await self.certainty.open() as connection:
            yield connection


@asynccontextmanager
async def open_turn_transaction(
    pool: Pool[Connection], certainty: Certainty
) -> AsyncGenerator[PostgresTurnTransaction]:
    """Begin a transaction on a pooled connection; the pool rolls back what is not committed."""
    async with pool.connection() as connection:
        await connection.execute("begin")
        yield PostgresTurnTransaction(connection, certainty)
