"""The writer's session: one transaction and one round trip for each batch, and a certain outcome."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import psycopg
from attrs import define

from ..contract import BadData, CommitResult, Committed, CommitUnit, Forgotten, Ring, ServerForgot, TimedOut
from ._batch import Parameters, batch_parameters
from ._certain import execute_certainly
from ._connection import Connection
from ._faults import Fault, did_nothing, fault_of
from ._markers import Marker
from ._outcome import FAILURES, Certainty, read_refusal


@define(eq=False)
class PostgresWriteSession:
    """Commits batches on one connection, which it replaces when it breaks.

    Attributes:
        certainty: How it becomes certain of an outcome.
    """

    certainty: Certainty
    _connection: Connection | None = None
    _writer: uuid.UUID | None = None
    """As what it was connected: what was opened before a server forgot may lead to one that was left."""

    async def commit(
        self, units: Sequence[CommitUnit], rings: Sequence[Ring], nonce: int | None
    ) -> CommitResult:
        """Commit some units in one transaction, or none of them; the result is certain."""
        try:
            batch = batch_parameters(units, rings, nonce)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is the fault of one of the turns
            return BadData(error)
        result = await self._until_certain(units, batch)
        if not isinstance(result, TimedOut):
            self.certainty.troubles.overcome(self.certainty.role)
        return result

    async def _until_certain(self, units: Sequence[CommitUnit], batch: Parameters) -> CommitResult:
        attempt, markers = 0, self.certainty.markers
        while True:
            marker = markers.new()
            try:
                result = await self._try(marker, batch)
            except ServerForgot as error:
                return Forgotten(error)
            forgot = markers.settle(marker, units if isinstance(result, Committed) else None)
            if forgot is not None:
                return await self._among_what_is_left(marker, result, forgot)
            if isinstance(result, TimedOut) and len(units) == 1:
                result = result.error  # there is no smaller one
            if not isinstance(result, Exception):
                return result
            attempt += 1
            await self.certainty.pause(result, attempt)

    async def _among_what_is_left(
        self, marker: Marker, result: CommitResult | Exception, forgot: ServerForgot
    ) -> CommitResult:
        """Ask again for a commit that was acknowledged, but not before it was found that a server forgot."""
        if not isinstance(result, Committed):
            return Forgotten(forgot)
        try:
            happened = await self.certainty.look_up(marker, forgot, self._connected)
        except ServerForgot as error:
            return Forgotten(error)
        return result if happened else Forgotten(forgot)

    async def _try(self, marker: Marker, batch: Parameters) -> CommitResult | Exception:
        """Try once. An error says why it did not happen, and that nothing in it is to blame."""
        try:
            async with self._connected() as connection:
                self.certainty.check(marker)
                await execute_certainly(
                    connection,
                    self.certainty.statements["commit_batch"],
                    (*marker.parameters, *batch),
                    deadline=self.certainty.deadline,
                )
        except FAILURES as error:
            refusal = read_refusal(error, self.certainty.schema)
            if refusal is not None:
                return refusal
            if fault_of(error) is Fault.PROGRAM:
                self.certainty.markers.settle(marker, None)
                raise  # no retry helps
            if did_nothing(error):
                return TimedOut(error) if isinstance(error, psycopg.errors.QueryCanceled) else error
            happened = await self.certainty.look_up(marker, error, self._connected)
            return Committed() if happened else TimedOut(error)
        return Committed()

    async def renew(self) -> None:
        """Use another connection from now on, with a new choice of the server."""
        if self._connection is not None:
            await self._connection.close()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        self.certainty.troubles.gave_up(self.certainty.role)
        await self.renew()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Connection]:
        """Give the connection; a new one if it broke, or a server forgot, whose server has forgotten nothing.

        Raises:
            ServerForgot: It has. The next connection is taken as it is.
        """
        connection = self._connection
        is_left = self._writer != self.certainty.markers.writer
        if connection is None or connection.closed or connection.is_spent or is_left:
            await self.renew()
            self._connection = connection = await self.certainty.open()
            self._writer = self.certainty.markers.writer
        yield connection
