"""The writer's session: one transaction and one round trip for each batch, and a certain outcome."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from understudy.actors import Backoff

from .._finished import Finished
from .._rows import CommitResult, Committed
from ._batch import batch_parameters
from ._connection import Connection
from ._outcome import LOST_LINK, Marker, brief, look_up, read_refusal
from ._statements import Statements

_log = logging.getLogger("understudy.writer")


@define(eq=False)
class PostgresWriteSession:
    """Commits batches on one connection, which it replaces when it breaks."""

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
        while True:
            self._batch += 1
            try:
                async with self._connected() as connection:
                    await connection.execute(
                        self.statements["commit_batch"],
                        (self._writer, self._batch, self._forget, *tail),
                    )
            except LOST_LINK as error:
                refusal = read_refusal(error)
                if refusal is not None:
                    return refusal
                _log.warning("a commit got no answer (%s); looking up its outcome", brief(error))
                if not await self._happened():
                    continue
            self._forget = self._batch
            return Committed()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()

    async def _happened(self) -> bool:
        return await look_up(
            Marker(self._writer, self._batch),
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
