"""The ends of psycopg's context managers, made to hold when the task is cancelled.

A cancelled Trio task is cancelled at every checkpoint, so a ROLLBACK written in a plain `__aexit__` would
never be sent. The ends below run in a shield, for as long as the connection has patience; if the server does
not answer in that time, the connection is closed instead.
"""

from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self, cast

import psycopg
import trio
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.rows import Row

from ._patience import Patience


class _HasPatience(Protocol):
    patience: Patience


@contextmanager
def shield_if_interrupted(connection: object, exc: BaseException | None) -> Generator[None]:
    """Shield what follows if the task is being interrupted; do nothing otherwise."""
    if is_interrupt(exc):
        with cast("_HasPatience", connection).patience.shield():
            yield
    else:
        yield


def is_interrupt(exc: BaseException | None) -> bool:
    """Whether an exception is a cancellation or the like, not an error."""
    return exc is not None and not isinstance(exc, Exception)


class Transaction(psycopg.AsyncTransaction):
    """A transaction block that rolls back even if its task has been cancelled."""

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException as error:
            # psycopg tried to undo a half-made start, which a cancelled task is not allowed to do unshielded.
            if self.status is self.Status.ACTIVE and self.pgconn.status == ConnStatus.OK:
                await self._end(error)
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool:
        if exc_val is None:
            try:
                # The last moment to be cancelled with nothing committed.
                await trio.lowlevel.checkpoint_if_cancelled()
            except BaseException as interrupt:
                await self._end(interrupt)
                raise
        return await self._end(exc_val)

    async def _end(self, exc: BaseException | None) -> bool:
        swallow = False
        with shield_if_interrupted(self._conn, exc):
            try:
                swallow = await super().__aexit__(type(exc) if exc else None, exc, None)
            except BaseException:
                if exc is None:
                    self.status = self.Status.FAILED  # psycopg has it COMMITTED before it asks the server
                raise
        return swallow


class Pipeline(psycopg.AsyncPipeline):
    """A pipeline that is synchronised at its end even if its task has been cancelled."""

    async def __aenter__(self) -> Self:
        level = self.level
        try:
            return await super().__aenter__()
        except BaseException as error:
            if self.level > level:  # it was entered, and nobody is going to leave it
                await self._end(error)
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_val is not None:
            await self._end(exc_val)
            return
        try:
            # All that is waited for; psycopg's own end would be left half-way by a cancellation.
            await self.sync()
        except BaseException as error:
            await self._end(error)
            raise
        self._exit(None)

    async def _end(self, exc: BaseException) -> None:
        with shield_if_interrupted(self._conn, exc):
            if is_interrupt(exc) and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self._conn._try_cancel()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            await super().__aexit__(type(exc), exc, None)


class ServerCursor(psycopg.AsyncServerCursor[Row]):
    """A server-side cursor that is closed even if its task has been cancelled."""

    __slots__ = ()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        try:
            with shield_if_interrupted(self._conn, exc_val):
                await self.close()
        except BaseException as error:
            with shield_if_interrupted(self._conn, error):
                if is_interrupt(error):
                    await self.close()
            raise
        finally:
            self._close()  # in any case on this side
