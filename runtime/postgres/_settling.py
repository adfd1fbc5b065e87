"""The way back to rest of one connection, when a task is cancelled in the middle of something."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Protocol, TypeVar, cast, final

import psycopg
import trio
from psycopg import capabilities, generators
from psycopg.abc import PQGen
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.waiting import Ready

from ._draining import drain
from ._lock import ConnectionLock
from ._patience import Patience
from ._waiting import drive, drive_connecting, wake_waiters

_T = TypeVar("_T")

_ASK_AGAIN_SECONDS: Final = 0.5  # an operation of several commands needs a request for each that starts late

NOTHING: Final = object()
"""The result of an operation that was given up."""


@final
class Settler:
    """Brings a connection to rest, or closes it.

    Attributes:
        lock: the connection's.
        patience: the time it has.
        dropped: whether the connection was closed from this side.
        stopping: whether an operation that was given up is being brought to its end.
        abandons: whether what is cancelled is not stopped by request, but abandoned with its connection.
        sends: called each time that some of what waited to be sent can be.
    """

    def __init__(self, pgconn: PGconn) -> None:
        self.lock: ConnectionLock = ConnectionLock()
        self.patience: Patience = Patience()
        self.dropped: bool = False
        self.stopping: bool = False
        self.abandons: bool = False
        self.sends: Callable[[], None] | None = None
        self._pgconn = pgconn

    # What was interrupted

    async def settle(self, gen: PQGen[Any]) -> object:
        """Stop an interrupted operation: its result if it finished all the same, `NOTHING` if it did not."""
        if self._pgconn.transaction_status != TransactionStatus.ACTIVE:
            return NOTHING
        if self.abandons:
            self.drop()
            return NOTHING
        result: object = NOTHING
        with self.shielded():
            with suppress(psycopg.Error):  # the expected end; in a pipeline, its own end reads the rest
                result = await self._stop(gen)
            if self.is_streaming():
                # One row of many, or one block: as a whole the command has been cancelled.
                result = NOTHING
                await self._drain()
        return result

    async def stop_stream(self) -> None:
        """Cancel the COPY or row stream that is under way, and read the rest of it."""
        if self.is_streaming():
            with self.shielded():
                await self.request_cancel()
                await self._drain()

    def is_streaming(self) -> bool:
        """Whether a command is under way, in whatever state, outside pipeline mode."""
        return (
            self._pgconn.transaction_status == TransactionStatus.ACTIVE
            and self._pgconn.pipeline_status == PipelineStatus.OFF
        )

    async def _stop(self, gen: PQGen[_T]) -> _T:
        """Bring an operation to its end, asking the server to cancel it."""
        self.stopping = True
        try:
            while True:
                await self.request_cancel()
                with trio.move_on_after(_ASK_AGAIN_SECONDS):
                    return await self._resume(gen)
        finally:
            self.stopping = False

    async def _resume(self, gen: PQGen[_T]) -> _T:
        return await drive(gen, self._pgconn.socket, gen.send(Ready.NONE))

    async def _drain(self) -> None:
        """Read the rest of what the server says about a command that was given up."""
        with suppress(StopIteration):
            gen = drain(self._pgconn)
            await drive(gen, self._pgconn.socket, next(gen))

    # The ends of blocks

    @asynccontextmanager
    async def seized(self) -> AsyncGenerator[None]:
        """Hold the lock to end a block; a cancelled task waits for it, and is cancelled after the block.

        If there is not patience enough, the connection is closed under whoever has the lock.
        """
        interrupt: BaseException | None = None
        try:
            await self.lock.acquire()
        except GeneratorExit:
            self.drop()
            raise
        except BaseException as error:
            interrupt, held = error, False
            with self.shielded():
                await self.lock.acquire()
                held = True
            if not held:
                raise
        try:
            yield
        finally:
            self.lock.release()
        if interrupt is not None:
            raise interrupt

    async def finish(self, gen: PQGen[_T], *, stop: bool = False) -> _T:
        """Run what ends a block, to its end even if the task is cancelled. The caller holds the lock.

        Args:
            gen: the operation.
            stop: if the task is cancelled, have the server cancel what the operation waits for.

        Raises:
            psycopg.Error: whatever the operation raises.
            trio.Cancelled: it failed, or there was no answer in time and the connection has been closed.
        """
        if self.dropped:
            raise psycopg.OperationalError("the connection is closed")
        try:
            wanted = next(gen)
        except StopIteration as done:
            return cast("_T", done.value)
        try:
            return await drive(gen, self._pgconn.socket, wanted)
        except Exception:
            give_up(gen)
            raise
        except GeneratorExit:
            self.drop()
            raise
        except BaseException as interrupt:
            result: object = NOTHING
            with self.shielded(), suppress(psycopg.Error):  # the server's word ends it as well as a result
                result = await (self._stop(gen) if stop else self._resume(gen))
            give_up(gen)
            if result is NOTHING or not isinstance(interrupt, trio.Cancelled):
                raise
            return cast("_T", result)

    # The last resort

    @contextmanager
    def shielded(self) -> Generator[None]:
        """Shield the way back to rest, for as long as there is patience; if it leads elsewhere, close."""
        with self.patience.shield(), suppress(psycopg.Error):
            try:
                yield
            except BaseException:
                self.drop()
                raise

    async def request_cancel(self) -> None:
        """Ask the server to cancel what runs here; return when it has dealt with that.

        Raises:
            psycopg.Error: it could not be asked; the connection has been closed.
        """
        try:
            if capabilities.has_cancel_safe():
                await send_cancel_request(self._pgconn)
            else:
                # libpq before 17 can only block. An abandoned request can do no harm: this backend is not
                # used any more.
                await trio.to_thread.run_sync(self._pgconn.get_cancel().cancel, abandon_on_cancel=True)
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Close the socket, after everybody who waits for it was told."""
        if not self.dropped:
            self.dropped = True
            if self._pgconn.status != psycopg.pq.ConnStatus.BAD:
                with suppress(RuntimeError):  # Trio is gone, and with it all who could wait
                    wake_waiters(self._pgconn.socket)
            self._pgconn.finish()


async def send_cancel_request(pgconn: PGconn) -> None:
    """Ask the server to cancel what runs on a connection.

    Raises:
        psycopg.OperationalError: it could not be asked.
    """
    request = pgconn.cancel_conn()
    try:
        request.start()
        await drive_connecting(generators.cancel(request))
    finally:
        request.finish()  # by name: a request that is given up would stay open until the collector comes by


def give_up(gen: PQGen[Any]) -> None:
    """End a generator that nobody is going to run on; what its clean-up says of the connection is known."""
    with suppress(psycopg.Error, RuntimeError):  # RuntimeError: it would rather wait for the server
        gen.close()


def is_cancelled() -> bool:
    """Whether the task would be cancelled at the next checkpoint."""
    return trio.current_effective_deadline() <= trio.current_time()


class _Settled(Protocol):
    settler: Settler


def settler_of(connection: object) -> Settler:
    """Return the settler of one of our connections, which psycopg's classes know as one of theirs."""
    return cast("_Settled", connection).settler
