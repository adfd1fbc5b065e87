"""The ends of psycopg's blocks, made to hold when the task is cancelled.

A cancelled Trio task is cancelled at every checkpoint, so a ROLLBACK written in a plain `__aexit__` would
never be sent, whatever the block itself ended with. The ends below are finished by the connection's settler
for as long as there is patience; if the server does not answer in that time, the connection is closed.
"""

import logging
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import Any, Final, Self

import psycopg
import trio
from psycopg.pq import ConnStatus, TransactionStatus

from ._settling import Settler, settler_of

_log: Final = logging.getLogger("psycopg")


class Transaction(psycopg.AsyncTransaction):
    """A transaction block that rolls back even if its task has been cancelled."""

    async def __aenter__(self) -> Self:
        async with self._conn.lock:
            self._check_enter()
            try:
                # Not to be cancelled on the server: a SAVEPOINT that fails takes the outer block with it.
                await settler_of(self._conn).finish(self._enter_gen())
            except BaseException as error:
                with suppress(trio.Cancelled):  # it is on its way, or comes again
                    await self._undo(error)
                raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool:
        if exc_val is not None or self.force_rollback:
            return await self._roll_back(exc_val)
        await self._commit()
        return False

    async def _commit(self) -> None:
        try:
            # The last moment to be cancelled with nothing committed.
            await self._conn.lock.acquire()
        except BaseException as interrupt:
            await self._roll_back(interrupt)
            raise
        try:
            self._conn._check_connection_ok()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            ending = self._exit_gen(None, None, None)
            if self._outer_transaction and not self._conn._pipeline:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                await self._conn.wait(ending)
            else:
                # Only queued, or the release of a savepoint: no time to speak of, and never half-done.
                await settler_of(self._conn).finish(ending)
        except BaseException:
            self.status = self.Status.FAILED  # psycopg has it COMMITTED before it asks the server
            if self._outer_transaction and self.pgconn.transaction_status == TransactionStatus.INERROR:
                # It failed before it began, and so ended nothing.
                with suppress(trio.Cancelled, psycopg.Error):
                    rollback = self._conn._exec_command(b"ROLLBACK")  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                    await settler_of(self._conn).finish(rollback)
            raise
        finally:
            self._conn.lock.release()

    async def _roll_back(self, exc: BaseException | None) -> bool:
        """Roll back, and say whether that takes care of `exc`; a cancellation does not take its place."""
        swallow = False
        with suppress(trio.Cancelled) if exc is not None else nullcontext():
            async with settler_of(self._conn).seized():
                swallow = await self._undo(exc)
        return swallow

    async def _undo(self, exc: BaseException | None) -> bool:
        if self.pgconn.status != ConnStatus.OK:
            self.status = self.Status.FAILED
            return False
        try:
            return await settler_of(self._conn).finish(self._exit_gen(type(exc) if exc else None, exc, None))
        except psycopg.OperationalError as error:  # the connection is lost, and the transaction with it
            self.status = self.Status.FAILED
            _log.warning("error ignored in rollback of %s: %s", self, error)
            return False


class Pipeline(psycopg.AsyncPipeline):
    """A pipeline that is synchronised at its end even if its task has been cancelled."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], settler: Settler, *, locked: bool) -> None:
        super().__init__(connection, _no_lock=locked)
        self._settler = settler
        self._locked = locked

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
        """Synchronise after an error or a cancellation, which is what will be raised."""
        try:
            with suppress(trio.Cancelled):
                async with nullcontext() if self._locked else self._settler.seized():
                    await self._settler.finish(self._exit_gen(), stop=True)
        except psycopg.Error as error:
            _log.warning("error ignored terminating %r: %s", self, error)
        finally:
            self._exit(exc)
