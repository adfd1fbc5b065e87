"""Drive psycopg's generators on Trio: the only place where the driver waits for a socket.

psycopg writes each database operation as a generator that yields what it waits for (`Wait.R`, `Wait.W` or
both) and is sent what became ready. Whatever runs the generator decides how to wait; here Trio does.

A socket asked for writing is nearly always writable, so a wait that includes writing first asks the kernel
without blocking. Only when nothing is ready, and both directions are wanted, must both be waited for, which
happens when the send buffer is full. Trio has one waiter for each direction of a descriptor; a second task is
avoided where the kernel can merge the two.
"""

import select
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import perf_counter
from typing import TypeVar

import psycopg
import trio
from psycopg import waiting
from psycopg.abc import PQGen, PQGenConn
from psycopg.waiting import Ready, Wait

_T = TypeVar("_T")

# psycopg's generators speak plain integers; taking them out of the enum saves a lookup for every round trip.
_WAIT_R, _WAIT_W = int(Wait.R), int(Wait.W)
_READY_R, _READY_W = int(Ready.R), int(Ready.W)

# Seconds for which operations that never block may keep the other tasks waiting.
_BUSY_SECONDS = 0.005


# The class that `AsyncConnection.notifies()` catches.
WaitTimeout = psycopg.errors._WaitTimeout  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class Breath(threading.local):
    """When the driver last gave control to Trio in this thread, for the operations that never block.

    A row of a COPY that is in the buffer already, or a statement that fits the socket's, needs no wait.
    Giving control to the scheduler each time would cost more than the operation; never doing so would starve
    the other tasks, and keep a cancellation out.
    """

    _last = 0.0

    def is_due(self) -> bool:
        """Whether the driver has been busy for too long."""
        return perf_counter() - self._last >= _BUSY_SECONDS

    def taken(self) -> None:
        """Control has just been given."""
        self._last = perf_counter()

    async def take(self) -> None:
        """Give control; a checkpoint."""
        await trio.lowlevel.checkpoint()
        self._last = perf_counter()


breath = Breath()


async def drive(gen: PQGen[_T], fd: int, wanted: int, sends: Callable[[], None] | None = None) -> _T:
    """Run a psycopg generator that has been started to its end.

    A cancellation leaves the generator suspended where it was: sent `Ready.NONE` it says again what it wants.

    Args:
        gen: the operation, as psycopg's connections and cursors make it.
        fd: the connection's socket; it must not change meanwhile.
        wanted: what the generator waits for.
        sends: called each time that the socket had been full, and takes something again.

    Returns:
        What the generator returns.

    Raises:
        psycopg.OperationalError: the socket was closed.
        psycopg.Error: whatever the operation raises.
    """
    try:
        while True:
            if wanted == _WAIT_R:
                await trio.lowlevel.wait_readable(fd)
                breath.taken()
                ready = _READY_R
            else:
                if breath.is_due():
                    await breath.take()
                ready = _glance(fd, wanted)
                if not ready:
                    ready = await wait_either(fd, wanted)
                    if sends is not None and ready & _READY_W:
                        sends()
            wanted = gen.send(ready)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    except trio.ClosedResourceError as closed:
        raise psycopg.OperationalError("the connection was closed by another task") from closed
    except OSError as error:
        raise psycopg.OperationalError("the connection's socket is closed") from error


async def drive_until(gen: PQGen[_T], fd: int, wanted: int, seconds: float) -> _T:
    """Run a psycopg generator as `drive` does, for at most `seconds`; zero looks once at what is there.

    Raises:
        WaitTimeout: the time is up.
        psycopg.Error: as `drive`.
    """
    deadline = trio.current_time() + seconds
    try:
        while True:
            # Looked at before the clock: what has already arrived is never lost to a timeout.
            if ready := poll(fd, wanted):
                await breath.take()  # something may always have arrived
            else:
                with trio.CancelScope(deadline=deadline):
                    ready = await wait_either(fd, wanted)
            if not ready:
                raise WaitTimeout(f"nothing came within {seconds} s")
            wanted = gen.send(ready)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    except trio.ClosedResourceError as closed:
        raise psycopg.OperationalError("the connection was closed by another task") from closed
    except OSError as error:
        raise psycopg.OperationalError("the connection's socket is closed") from error


async def drive_connecting(gen: PQGenConn[_T]) -> _T:
    """Run a generator that makes a connection; it names its socket at each step, since that may change.

    Raises:
        psycopg.OperationalError: the connection failed.
    """
    try:
        fd, wanted = next(gen)
        while True:
            fd, wanted = gen.send(await wait_either(fd, wanted))
    except StopIteration as stop:
        result: _T = stop.value
        return result
    except OSError as error:
        raise psycopg.OperationalError(f"the connection's socket failed: {error}") from error
    finally:
        # What the generator holds is a socket. Given up in the middle, it would stay open until the collector
        # comes by: the traceback of the cancellation keeps the frames, and they keep the generator.
        gen.close()


async def wait_either(fd: int, wanted: int) -> int:
    """Wait until `fd` is ready for one of the wanted directions; say which."""
    if wanted == _WAIT_R:
        await trio.lowlevel.wait_readable(fd)
        return _READY_R
    if wanted == _WAIT_W:
        await trio.lowlevel.wait_writable(fd)
        return _READY_W
    return await _wait_both(fd)


if sys.platform == "linux":
    # The epoll descriptors that stand for a socket: its waiters are waiting for them.
    _stand_ins: dict[int, int] = {}

    async def _wait_both(fd: int) -> int:
        """Wait for reading and writing at once, in one task: an epoll of one socket is itself readable."""
        with select.epoll(1) as both:
            both.register(fd, select.EPOLLIN | select.EPOLLOUT)
            _stand_ins[fd] = both.fileno()
            try:
                await trio.lowlevel.wait_readable(both.fileno())
            finally:
                del _stand_ins[fd]
        return poll(fd, _WAIT_R | _WAIT_W)

    def wake_waiters(fd: int) -> None:
        """Tell those who wait for `fd` that it is going to be closed, before it is."""
        trio.lowlevel.notify_closing(fd)
        if (stand_in := _stand_ins.get(fd)) is not None:
            trio.lowlevel.notify_closing(stand_in)

else:

    async def _wait_both(fd: int) -> int:
        """Wait for reading and writing at once: two tasks, the first to be ready ends the other."""
        ready = 0
        closed: Exception | None = None

        async def watch(wait: Callable[[int], Awaitable[None]], direction: int) -> None:
            nonlocal ready, closed
            try:
                await wait(fd)
            except (trio.ClosedResourceError, OSError) as error:
                closed = error  # kept out of the nursery: an exception group would hide it from the caller
            else:
                ready |= direction
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, trio.lowlevel.wait_readable, _READY_R)
            nursery.start_soon(watch, trio.lowlevel.wait_writable, _READY_W)
        if closed is not None:
            raise closed
        return ready

    def wake_waiters(fd: int) -> None:
        """Tell those who wait for `fd` that it is going to be closed, before it is."""
        trio.lowlevel.notify_closing(fd)


if sys.platform == "win32":  # pragma: no cover: Windows has no poll

    def poll(fd: int, wanted: int) -> int:
        """Say which of the wanted directions `fd` is ready for now, without waiting; zero if none."""
        readers = [fd] if wanted & _WAIT_R else []
        writers = [fd] if wanted & _WAIT_W else []
        readable, writable, _ = select.select(readers, writers, [], 0)
        return (_READY_R if readable else 0) | (_READY_W if writable else 0)

else:
    # Every flag poll() may answer with, as readiness. A hang-up or an error makes everything ready: whatever
    # is tried next will say what happened.
    _IN, _OUT = select.POLLIN, select.POLLOUT
    _PLAIN = {0: 0, _IN: _READY_R, _OUT: _READY_W, _IN | _OUT: _READY_R | _READY_W}

    @lru_cache(maxsize=1024)
    def _poller(fd: int, wanted: int) -> "select.poll":
        """The object that asks about `fd`. It has no state in the kernel, so it outlives the descriptor."""
        poller = select.poll()
        poller.register(fd, (_IN if wanted & _WAIT_R else 0) | (_OUT if wanted & _WAIT_W else 0))
        return poller

    def poll(fd: int, wanted: int) -> int:
        """Say which of the wanted directions `fd` is ready for now, without waiting; zero if none."""
        events = _poller(fd, wanted).poll(0)
        return _PLAIN.get(events[0][1], wanted) if events else 0


# psycopg's binary has the same question in C, twice as fast; a pipeline asks it twice for each statement.
_glance: Callable[[int, int], int] = getattr(waiting, "_ready", poll)
