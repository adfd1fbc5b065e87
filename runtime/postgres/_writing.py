"""The writer's session: one transaction and one round trip for each batch, and a certain outcome."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from rolebook.actors import Backoff

from ..contract import BadData, CommitResult, Committed, CommitUnit, Ring
from ._batch import batch_parameters
from ._connection import Connection
from ._outcome import FAILURES, Marker, Markers, brief, look_up, read_refusal
from ._statements import Statements

_log = logging.getLogger("rolebook.writer")


@define(eq=False)
class PostgresWriteSession:
    """Commits batches on one connection, which it replaces when it breaks."""

    connect: Callable[[], Awaitable[Connection]]
    statements: Statements
    deadline: float
    backoff: Backoff
    _connection: Connection | None = None
    _markers: Markers = field(factory=Markers)

    async def commit(self, units: Sequence[CommitUnit], rings: Sequence[Ring]) -> CommitResult:
        """Commit some units in one transaction, or none of them; the result is certain."""
        try:
            batch = batch_parameters(units, rings)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is the fault of one of the turns
            return BadData(error)
        while True:
            marker = self._markers.new()
            try:
                parameters = (*marker.parameters, *batch)
                async with self._connected() as connection:
                    await connection.execute(self.statements["commit_batch"], parameters)
            except FAILURES as error:
                refusal = read_refusal(error)
                if refusal is not None:
                    self._markers.settle(marker, committed=False)
                    return refusal
                _log.warning("a commit got no answer (%s); looking up its outcome", brief(error))
                if not await self._happened(marker):
                    self._markers.settle(marker, committed=False)
                    continue
            self._markers.settle(marker, committed=True)
            return Committed()

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
        """Give the connection, a new one if it broke. One that ran out of time is closed."""
        if self._connection is None or self._connection.closed:
            self._connection = await self.connect()
        try:
            with trio.fail_after(self.deadline):
                yield self._connection
        except trio.TooSlowError:
            await self._connection.close()
            raise
