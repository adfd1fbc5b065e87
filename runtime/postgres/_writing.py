"""The writer's session: one transaction and one round trip for each batch, and a certain outcome."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import psycopg
import trio
from attrs import define

from rolebook.actors import Backoff

from ..contract import BadData, CommitResult, Committed, CommitUnit, Forgotten, Ring, ServerForgot, TimedOut
from ._batch import Parameters, batch_parameters
from ._certain import execute_certainly
from ._connection import Connection
from ._faults import Fault, did_nothing, fault_of
from ._markers import Marker, Markers, connect_checked
from ._outcome import FAILURES, brief, look_up, read_refusal
from ._statements import Statements

_log = logging.getLogger("rolebook.writer")


@define(eq=False)
class PostgresWriteSession:
    """Commits batches on one connection, which it replaces when it breaks.

    Attributes:
        connect: Opens a connection.
        markers: Of the process.
        schema: Of the runtime's tables.
        deadline: Seconds for one try of a commit.
        backoff: Between tries.
    """

    connect: Callable[[], Awaitable[Connection]]
    statements: Statements
    markers: Markers
    schema: str
    deadline: float
    backoff: Backoff
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
        attempt = 0
        while True:
            marker = self.markers.new()
            try:
                result = await self._try(marker, batch)
                if isinstance(result, TimedOut) and len(units) == 1:
                    result = None  # there is no smaller one
            except ServerForgot as error:
                return Forgotten(error)
            forgot = self.markers.settle(marker, units if isinstance(result, Committed) else None)
            if forgot is not None:
                return Forgotten(forgot)
            if result is not None:
                return result
            attempt += 1
            await trio.sleep(self.backoff.delay(attempt, Random()))  # noqa: S311 - jitter

    async def _try(self, marker: Marker, batch: Parameters) -> CommitResult | None:
        """Try once. None says that it did not happen, and that nothing in it is to blame."""
        try:
            async with self._connected() as connection:
                await execute_certainly(
                    connection,
                    self.statements["commit_batch"],
                    (*marker.parameters, *batch),
                    deadline=self.deadline,
                )
        except FAILURES as error:
            refusal = read_refusal(error, self.schema)
            if refusal is not None:
                return refusal
            if fault_of(error) is Fault.PROGRAM:
                self.markers.settle(marker, None)
                raise  # no retry helps
            if did_nothing(error):
                _log.warning("a commit was refused (%s); trying again", brief(error))
                return TimedOut() if isinstance(error, psycopg.errors.QueryCanceled) else None
            _log.warning("a commit got no answer (%s); looking up its outcome", brief(error))
            return Committed() if await self._happened(marker) else TimedOut()
        return Committed()

    async def renew(self) -> None:
        """Use another connection from now on, with a new choice of the server."""
        await self.close()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()

    async def _happened(self, marker: Marker) -> bool:
        return await look_up(
            marker,
            self._connected,
            self.statements,
            deadline=self.deadline,
            backoff=self.backoff,
        )

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Connection]:
        """Give the connection; a new one if it broke, or a server forgot, whose server has forgotten nothing.

        Raises:
            ServerForgot: It has. The next connection is taken as it is.
        """
        connection = self._connection
        is_left = self._writer != self.markers.writer
        if connection is None or connection.closed or connection.is_spent or is_left:
            await self.close()
            self._connection = connection = await connect_checked(
                self.connect, self.markers, self.statements, deadline=self.deadline
            )
            self._writer = self.markers.writer
        yield connection
