"""The lock of a connection."""

import trio


class ConnectionLock:
    """A fair lock without an owner, as cheap as can be while nobody competes.

    `trio.Lock` belongs to the task that took it. psycopg holds its lock across the `yield` of async
    generators (`notifies()`, `stream()`), and Trio closes an abandoned generator from a task of its own,
    which could not give a `trio.Lock` back. A free `ConnectionLock` is taken without a trip through the
    scheduler: the operation that follows is going to wait for the socket anyway.
    """

    __slots__ = ("_held", "_waiting")

    def __init__(self) -> None:
        self._held = False
        self._waiting = trio.lowlevel.ParkingLot()

    def locked(self) -> bool:
        """Whether someone holds the lock."""
        return self._held

    async def acquire(self) -> None:
        """Take the lock; first come, first served. Cancelled before it is taken, or not at all."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._held:
            # The holder hands the lock over: `_held` stays true, so nobody can come in between.
            await self._waiting.park()
        self._held = True

    def release(self) -> None:
        """Give the lock to the one who waited longest."""
        if self._waiting:
            self._waiting.unpark()
        else:
            self._held = False

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()
