"""psycopg's asynchronous connection, on Trio.

psycopg keeps the protocol (cursors, COPY, pipeline, transactions, adapters) apart from the waiting: every
operation is a generator handed to `AsyncConnection.wait`. So `Connection` replaces the waiting, the making of
the connection and the lock, and leaves the rest to psycopg.

The rules of cancellation, in order of what can happen:

1. Cancelled before anything was sent (while waiting for the connection's lock): nothing was sent.
2. Cancelled while a command runs: the server is asked to cancel it and the answer is awaited in a shield of
   `SETTLE_SECONDS`. A command that finished all the same *has happened*: its result is returned, and the
   cancellation is delivered at the next checkpoint. A command that was cancelled raises `trio.Cancelled`.
3. The end of a block (a ROLLBACK, a pipeline's synchronisation, the closing of a cursor) is finished in that
   shield, whether an error or the cancellation itself left the block.
4. A server that does not answer in that time, or cannot be reached to be asked, loses the connection.

A cancel request names a backend, not a command. The server has sent it on by the time it closes the request's
own connection, and that is awaited. A request whose end is unknown could hit the next command, so the
connection is closed rather than used again.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

import psycopg
import trio
from psycopg import capabilities
from psycopg.abc import AdaptContext, ConnParam, PQGen
from psycopg.adapt import AdaptersMap
from psycopg.pq import PipelineStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import AsyncRowFactory, Row, tuple_row

from ._cleanup import Pipeline, Transaction
from ._connecting import connect_to_any
from ._cursors import Cursor, ServerCursor, adopt
from ._faults import ends_session
from ._lock import ConnectionLock
from ._patience import Patience
from ._settling import NOTHING, Settler, give_up, is_cancelled, send_cancel_request
from ._waiting import breath, drive, drive_until

_T = TypeVar("_T")

_DEFAULT_ROW: Final = cast("AsyncRowFactory[Any]", tuple_row)


class Connection(psycopg.AsyncConnection[Row]):
    """A connection to PostgreSQL for Trio, with the interface of `psycopg.AsyncConnection`.

    After a cancellation at any await the connection is either at rest (idle, or in the transaction that the
    caller had opened) or closed; it is never left with a command in progress. A transaction or pipeline block
    that is cancelled is rolled back, respectively synchronised, before the block is left. That takes
    milliseconds; if the server does not answer, it takes `patience.seconds` (3) and the connection is closed.

    `close()` may be called while another task waits for the connection: that task gets a
    `psycopg.OperationalError`.

    Not supported: `AsyncQueuedLibpqWriter`, which starts an asyncio task, and `cancel()` blocks as it does in
    psycopg: use `cancel_safe()`.

    Example:
        ```python
        async with await Connection.connect("dbname=app", autocommit=True) as connection:
            with trio.fail_after(2):
                cursor = await connection.execute("SELECT now()")
                print(await cursor.fetchone())
        ```
    """

    def __init__(
        self,
        pgconn: PGconn,
        row_factory: AsyncRowFactory[Row] = _DEFAULT_ROW,
    ) -> None:
        super().__init__(pgconn, row_factory)
        self.settler: Settler = Settler(pgconn)
        self.is_spent: bool = False
        """An error came up on it that belongs to the session: another connection may fare better."""
        self.lock: ConnectionLock = self.settler.lock  # type: ignore[assignment]  # psycopg's is asyncio's
        self.cursor_factory: type[psycopg.AsyncCursor[Row]] = Cursor
        self.server_cursor_factory: type[psycopg.AsyncServerCursor[Row]] = ServerCursor

    @property
    def patience(self) -> Patience:
        """How long the way back to rest may take after a cancellation."""
        return self.settler.patience

    @classmethod
    async def connect(
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = 5,
        context: AdaptContext | None = None,
        row_factory: AsyncRowFactory[Row] | None = None,
        cursor_factory: type[psycopg.AsyncCursor[Row]] | None = None,
        **kwargs: ConnParam,
    ) -> Self:
        """Connect to a server.

        Several hosts, and all addresses of each, are tried in turn; `connect_timeout` holds for each of them.
        If the task is cancelled, the attempt under way is given up and no connection is left behind.

        Args:
            conninfo: a connection string or URL, as libpq takes it.
            autocommit: whether statements outside `transaction()` commit at once.
            prepare_threshold: executions after which a statement is prepared; None never prepares.
            context: where to take the adapters from.
            row_factory: what makes a row.
            cursor_factory: what `cursor()` and `execute()` make.
            **kwargs: connection parameters; they beat those in `conninfo`.

        Raises:
            psycopg.OperationalError: no host could be connected to.
            psycopg.ProgrammingError: the connection string is wrong.
        """
        params = await cls._get_connection_params(conninfo, **kwargs)
        self = await connect_to_any(params, cls)
        self._autocommit = autocommit
        if row_factory:
            self.row_factory = row_factory
        if cursor_factory:
            self.cursor_factory = cursor_factory
        if context:
            self._adapters = AdaptersMap(context.adapters)
        self.prepare_threshold = prepare_threshold
        return self

    @classmethod
    async def connect_if(
        cls, conninfo: str, accept: Callable[[Self], Awaitable[None]], *, prepare_threshold: int | None = 5
    ) -> Self:
        """Connect, in autocommit mode, to the first server that is accepted.

        Args:
            conninfo: a connection string or URL, as libpq takes it.
            accept: looks at a connection; a `psycopg.Error` from it refuses the server, and the next host
                is tried.
            prepare_threshold: executions after which a statement is prepared; None never prepares.

        Raises:
            psycopg.OperationalError: no host could be connected to, or none was accepted.
            psycopg.ProgrammingError: the connection string is wrong.
        """

        async def accept_made(made: Self) -> None:
            made._autocommit, made.prepare_threshold = True, prepare_threshold
            await accept(made)

        return await connect_to_any(await cls._get_connection_params(conninfo), cls, accept_made)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Commit, or after an exception roll back; then close the connection in any case."""
        try:
            if exc_val is None:
                await super().__aexit__(exc_type, exc_val, exc_tb)
                return
            with (
                suppress(trio.Cancelled),  # it does not take the place of an error
                self.settler.shielded() if is_cancelled() else nullcontext(),
            ):
                await super().__aexit__(exc_type, exc_val, exc_tb)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connection; the server rolls back what is open. It does not wait and is not a checkpoint.

        A task that waits for this connection is woken with a `psycopg.OperationalError`.
        """
        if not self.closed:
            self._closed = True
            self.settler.drop()

    if not TYPE_CHECKING:  # the signature is psycopg's, with its overloads

        def cursor(self, *args: Any, **kwargs: Any) -> psycopg.AsyncCursor[Any]:
            """As psycopg; a cursor of any class keeps the rules of this driver."""
            return adopt(super().cursor(*args, **kwargs))

    async def wait(
        self,
        gen: PQGen[_T],
        interval: float = 0.0,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is psycopg's
    ) -> _T:
        """Run one of psycopg's generators on this connection, under the rules at the top of this module.

        Args:
            gen: the operation; the caller holds the connection's lock.
            interval: ignored; Trio needs no polling to be interrupted.
            timeout: seconds until the wait is given up; the operation is left as it is.

        Raises:
            psycopg.Error: whatever the operation raises.
        """
        if self.settler.dropped:
            raise psycopg.OperationalError("the connection is closed")  # libpq would say: no more rows
        try:
            wanted = next(gen)
        except StopIteration as stop:
            if breath.is_due():
                await self._breathe()
            return cast("_T", stop.value)
        try:
            if timeout is None:
                return await drive(gen, self.pgconn.socket, wanted, self.settler.sends)
            return await drive_until(gen, self.pgconn.socket, wanted, timeout)
        except Exception as error:
            give_up(gen)
            self.is_spent = self.is_spent or ends_session(error)
            raise
        except GeneratorExit:
            self.settler.drop()  # the coroutine was thrown away: nothing can be awaited any more
            raise
        except BaseException as interrupt:
            result = await self.settler.settle(gen)
            give_up(gen)
            if result is NOTHING or isinstance(interrupt, KeyboardInterrupt | SystemExit):
                raise
            return cast("_T", result)

    async def _breathe(self) -> None:
        """Give other tasks a turn in the middle of a COPY or a row stream; if cancelled, end that."""
        try:
            await breath.take()
        except GeneratorExit:
            self.settler.drop()
            raise
        except BaseException:
            await self.settler.stop_stream()
            raise

    # psycopg asks for the transaction's state, and takes a connection that has none to be in the wrong one.

    def _check_intrans_gen(self, attribute: str) -> PQGen[None]:
        self._check_connection_ok()
        yield from super()._check_intrans_gen(attribute)

    def _tpc_begin_gen(self, xid: psycopg.Xid | str) -> PQGen[None]:
        self._check_connection_ok()
        yield from super()._tpc_begin_gen(xid)

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 - psycopg\'s
        """Ask the server to cancel the command that runs on this connection; another task is waiting for it.

        Args:
            timeout: seconds to wait for the server to take the request; zero waits as long as it takes.

        Raises:
            psycopg.errors.CancellationTimeout: the server did not take it in time.
            psycopg.OperationalError: the server could not be reached.
        """
        if not self._should_cancel():
            return
        with trio.move_on_after(timeout or float("inf")) as scope:
            if capabilities.has_cancel_safe():
                await send_cancel_request(self.pgconn)
            else:
                await trio.to_thread.run_sync(self.cancel, abandon_on_cancel=True)
        if scope.cancelled_caught:
            raise psycopg.errors.CancellationTimeout("cancellation timeout expired")

    async def _try_cancel(self, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - psycopg\'s
        """Cancel what runs here so that the connection can be used again, even in a cancelled task."""
        if not self.closed:
            with self.settler.shielded():
                await self.settler.request_cancel()

    @asynccontextmanager
    async def transaction(
        self,
        savepoint_name: str | None = None,
        force_rollback: bool = False,  # noqa: FBT001, FBT002 - psycopg's
    ) -> AsyncGenerator[Transaction]:
        """Open a transaction, or a savepoint inside one, for the length of a block.

        It commits when the block ends and rolls back when the block raises or is cancelled.

        Args:
            savepoint_name: name of the savepoint; chosen if not given.
            force_rollback: roll back in any case.
        """
        transaction = Transaction(self, savepoint_name, force_rollback)
        if self._pipeline:
            async with self.pipeline(), transaction, self.pipeline():
                yield transaction
        else:
            async with transaction:
                yield transaction

    @asynccontextmanager
    async def pipeline(self) -> AsyncGenerator[Pipeline]:
        """Send statements without waiting for the answer of each, for the length of a block."""
        async with self.lock:
            self._check_connection_ok()
            pipeline = cast("Pipeline | None", self._pipeline)
            if pipeline is None:
                pipeline = self._pipeline = Pipeline(self, self.settler, locked=False)
        try:
            async with pipeline:
                yield pipeline
        finally:
            if pipeline.level == 0:
                self._leave_pipeline()

    @asynccontextmanager
    async def _pipeline_nolock(self) -> AsyncGenerator[Pipeline]:
        """As `pipeline()`, for psycopg's `executemany()`, which holds the lock."""
        pipeline = self._pipeline = Pipeline(self, self.settler, locked=True)
        try:
            async with pipeline:
                yield pipeline
        finally:
            self._leave_pipeline()

    def _leave_pipeline(self) -> None:
        self._pipeline = None
        if not self.closed and self.pgconn.pipeline_status != PipelineStatus.OFF:
            self.settler.drop()  # results are outstanding that nobody could tell apart any more
