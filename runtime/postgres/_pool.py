"""A small pool of connections.

A connection is `resting` (in the pool), `held` (somebody's), or gone; slots are what bounds them. Whoever has
a slot may take a resting connection or open one, so connections are opened lazily and a dead one is replaced
by whoever needs it. All bookkeeping is synchronous; awaits happen only in between, with the slot given back
in a `finally`, so a cancellation finds nothing half-done.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any, Generic, TypeVar, final

import attrs
import psycopg
import trio
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.waiting import Wait

from ..contract import Ending
from ._connection import Connection
from ._errors import Holder, PoolClosed, PoolExhausted
from ._waiting import poll

_C = TypeVar("_C", bound=Connection[Any])


@final
@attrs.frozen
class PoolStatistics:
    """A pool at one moment.

    Attributes:
        size: the most connections there may be.
        resting: connections ready to be used.
        held: connections in use.
        waiting: tasks that wait for one.
        opened: connections opened so far.
        discarded: connections closed so far, for whatever reason.
        exhausted: times a task waited in vain.
    """

    size: int
    resting: int
    held: int
    waiting: int
    opened: int
    discarded: int
    exhausted: int


@attrs.define(eq=False)
class _Member(Generic[_C]):
    connection: _C
    generation: int  # of `renew`
    opened_at: float
    since: float  # when it came to rest, or was taken
    holder: str = ""


@final
class Pool(Generic[_C]):
    """Connections to share; made by `open_pool`.

    The connection used last is used next, so that the others can grow old; tasks that wait are served in the
    order they came.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[_C]],
        *,
        size: int,
        acquire_timeout: float,
        max_age: float,
        check_after: float,
        check_timeout: float,
        close_timeout: float,
        ending: Ending | None,
    ) -> None:
        self._open_connection = open_connection
        self._size = size
        self._acquire_timeout = acquire_timeout
        self._max_age = max_age
        self._check_after = check_after
        self._check_timeout = check_timeout
        self._close_timeout = close_timeout
        self._ending = ending
        self._free = size
        self._waiting = trio.lowlevel.ParkingLot()
        self._resting: list[_Member[_C]] = []
        self._held: set[_Member[_C]] = set()
        self._returned = trio.lowlevel.ParkingLot()
        self._closed = False
        self._generation = 0
        self._opened = self._discarded = self._exhausted = 0

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[_C]:
        """Lend a connection for the length of a block.

        At the end of the block an open transaction is rolled back. A connection that is not idle then, has
        died, has met an error that belongs to its session, or is too old, is closed; the next one who needs
        a connection opens a new one. What the block SET in the session stays.

        Raises:
            PoolExhausted: none was free within the pool's `acquire_timeout`.
            PoolClosed: the pool's block has ended.
            DatabaseError: a new connection was needed and could not be opened.
        """
        await self._take_slot()
        try:
            member = await self._find()
            member.since, member.holder = trio.current_time(), trio.lowlevel.current_task().name
            self._held.add(member)
            try:
                yield member.connection
            finally:
                await self._take_back(member)
        finally:
            self._give_slot()

    async def renew(self) -> None:
        """Use no connection again that is open now: a new one is opened, with a new choice of the server."""
        self._generation += 1
        while self._resting:
            await self._close_member(self._resting.pop())

    def statistics(self) -> PoolStatistics:
        """Say how the pool is doing."""
        return PoolStatistics(
            size=self._size,
            resting=len(self._resting),
            held=len(self._held),
            waiting=len(self._waiting),
            opened=self._opened,
            discarded=self._discarded,
            exhausted=self._exhausted,
        )

    # Slots

    async def _take_slot(self) -> None:
        self._check_open()
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._free:
            self._free -= 1
            return
        with trio.move_on_after(self._acquire_timeout) as patience:
            await self._waiting.park()  # whoever wakes this task has passed its slot on
        if patience.cancelled_caught:
            self._exhausted += 1
            raise PoolExhausted(self._size, self._acquire_timeout, self._holders())
        self._check_open()

    def _give_slot(self) -> None:
        if self._waiting:
            self._waiting.unpark()
        else:
            self._free += 1

    def _holders(self) -> tuple[Holder, ...]:
        now = trio.current_time()
        held = sorted(self._held, key=lambda member: member.since)
        return tuple(Holder(member.holder, now - member.since) for member in held)

    def _check_open(self) -> None:
        if self._closed:
            raise PoolClosed("the pool is closed: use it inside its `async with open_pool(...)` block only")

    # Connections

    async def _find(self) -> _Member[_C]:
        """Take the connection that came to rest last and is still good, or open one."""
        while self._resting:
            member = self._resting.pop()
            try:
                good = not self._is_old(member) and await self._is_healthy(member)
            except BaseException:
                await self._keep_or_close(member)
                raise
            if good:
                return member
            await self._close_member(member)
        generation = self._generation
        connection = await self._open_connection()
        self._opened += 1
        now = trio.current_time()
        return _Member(connection, generation, opened_at=now, since=now)

    async def _is_healthy(self, member: _Member[_C]) -> bool:
        """Ask the server, if the connection rested for long or if something has come from it."""
        connection = member.connection
        if connection.closed:
            return False
        rested = trio.current_time() - member.since
        if rested < self._check_after and not poll(connection.fileno(), Wait.R):
            return True
        try:
            with trio.fail_after(self._check_timeout):
                await connection.execute("SELECT 1", prepare=False)
        except (psycopg.Error, trio.TooSlowError):
            return False
        return _is_idle(connection)

    async def _take_back(self, member: _Member[_C]) -> None:
        try:
            await _reset(member.connection)
        finally:
            self._held.discard(member)
            self._returned.unpark_all()
            await self._keep_or_close(member)

    async def _keep_or_close(self, member: _Member[_C]) -> None:
        """Put a connection to rest if it may be used again. Not a checkpoint."""
        if self._closed or self._is_old(member) or not _is_idle(member.connection):
            await self._close_member(member)
        else:
            member.since = trio.current_time()
            self._resting.append(member)

    async def _close_member(self, member: _Member[_C]) -> None:
        self._discarded += 1
        await member.connection.close()  # not a checkpoint

    def _is_old(self, member: _Member[_C]) -> bool:
        if member.generation != self._generation:
            return True
        return trio.current_time() - member.opened_at >= self._max_age

    # The end

    async def aclose(self) -> None:
        """Let nobody in any more, wait for those inside, then close everything.

        They have `close_timeout`, and no more than the end of the runtime leaves them.

        Leaving the block of `open_pool` does this. Cancelled, it closes everything at once.
        """
        self._closed = True
        self._waiting.unpark_all()
        try:
            ending = inf if self._ending is None else self._ending.over_at
            with trio.move_on_at(min(ending, trio.current_time() + self._close_timeout)):
                while self._held:
                    await self._returned.park()
        finally:
            while self._resting:
                await self._close_member(self._resting.pop())
            for member in self._held:
                await member.connection.close()  # counted when its user lets go of it


@asynccontextmanager
async def open_pool(
    open_connection: Callable[[], Awaitable[_C]],
    *,
    size: int = 4,
    acquire_timeout: float = 5.0,
    max_age: float = 3600.0,
    check_after: float = 5.0,
    check_timeout: float = 3.0,
    close_timeout: float = 5.0,
    ending: Ending | None = None,
) -> AsyncGenerator[Pool[_C]]:
    """Open a pool for the length of a block; connections are opened when they are first needed.

    At the end of the block it waits for connections in use, for at most `close_timeout`, and closes them
    under their users if need be; if the block was cancelled, at once.

    Args:
        open_connection: opens one connection; cancelled, it leaves none behind.
        size: the most connections at a time.
        acquire_timeout: seconds a task waits for a free connection before `PoolExhausted`.
        max_age: seconds after which a connection is replaced; one in use is left alone until it is returned.
        check_after: seconds of rest after which a connection must answer before it is lent.
        check_timeout: seconds it has for that.
        close_timeout: seconds.
        ending: of the runtime, whose deadline comes before `close_timeout`.

    Example:
        ```python
        connect = partial(connect_session, url, role="handler", process="bank")
        async with open_pool(connect, size=4) as pool, pool.connection() as connection:
            await connection.execute("SELECT 1")
        ```
    """
    if size < 1:
        raise ValueError(f"a pool needs at least one connection, not {size}")
    pool = Pool(
        open_connection,
        size=size,
        acquire_timeout=acquire_timeout,
        max_age=max_age,
        check_after=check_after,
        check_timeout=check_timeout,
        close_timeout=close_timeout,
        ending=ending,
    )
    try:
        yield pool
    finally:
        await pool.aclose()


def _is_idle(connection: Connection[Any]) -> bool:
    """Whether the connection is as good as new, and nobody is still using it."""
    return (
        not connection.closed
        and not connection.is_spent
        and connection.pgconn.transaction_status == TransactionStatus.IDLE
        and connection.pgconn.pipeline_status == PipelineStatus.OFF
        and not connection.lock.locked()
    )


async def _reset(connection: Connection[Any]) -> None:
    """Roll back what the block left open, in a shield: the one who comes next must not find it."""
    open_states = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
    if connection.pgconn.transaction_status not in open_states or connection.lock.locked():
        return
    with connection.patience.shield():
        try:
            await connection.rollback()
        except psycopg.Error:
            await connection.close()
