"""Drive psycopg's generators on Trio: the only place where the driver waits for a socket.

psycopg writes each database operation as a generator that yields what it waits for (`Wait.R`, `Wait.W` or
both) and is sent what became ready. Whatever runs the generator decides how to wait; here Trio does.

A socket asked for writing is nearly always writable, so a wait that includes writing first asks the kernel
without blocking. Only when nothing is ready, and both directions are wanted, are two tasks needed: one file
descriptor has one waiter for each direction in Trio. That happens when the send buffer is full, so rarely.
"""

import select
import sys
from time import perf_counter
from typing import TypeVar

import psycopg
import trio
from psycopg.abc import PQGen, PQGenConn
from psycopg.waiting import Ready, Wait

_T = TypeVar("_T")

# psycopg's generators speak plain integers; taking them out of the enum saves a lookup for every round trip.
_WAIT_R, _WAIT_W = int(Wait.R), int(Wait.W)
_READY_NONE, _READY_R, _READY_W = Ready.NONE, Ready.R, Ready.W

# Seconds for which operations that never block may keep the other tasks waiting.
_BUSY_SECONDS = 0.005


# The class that `AsyncConnection.notifies()` catches.
WaitTimeout = psycopg.errors._WaitTimeout  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class _Breath:
    """When the last wait gave control to Trio, for the generators that never block."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0.0

    async def take(self) -> None:
        """Let other tasks run if this thread has been busy with the database for too long."""
        if perf_counter() - self.last >= _BUSY_SECONDS:
            await trio.lowlevel.cancel_shielded_checkpoint()
            self.last = perf_counter()


_breath = _Breath()


async def drive(gen: PQGen[_T], fd: int, *, resume: bool = False) -> _T:
    """Run a psycopg generator to its end.

    A cancellation leaves the generator suspended where it was: `drive(gen, fd, resume=True)` goes on with it.

    Args:
        gen: the operation, as psycopg's connections and cursors make it.
        fd: the connection's socket; it must not change meanwhile.
        resume: the generator has been started before.

    Returns:
        What the generator returns.

    Raises:
        psycopg.OperationalError: the socket was closed.
        psycopg.Error: whatever the operation raises.
    """
    try:
        wanted = gen.send(_READY_NONE) if resume else next(gen)
        while True:
            if wanted == _WAIT_R:
                await trio.lowlevel.wait_readable(fd)
                ready = _READY_R
            else:
                await _breath.take()
                ready = poll(fd, wanted) or await wait_either(fd, wanted)
            wanted = gen.send(ready)
    except StopIteration as stop:
        result: _T = stop.value
    except trio.ClosedResourceError as closed:
        raise psycopg.OperationalError("the connection was closed by another task") from closed
    except OSError as error:
        raise psycopg.OperationalError("the connection's socket is closed") from error
    await _breath.take()
    return result


async def drive_until(gen: PQGen[_T], fd: int, seconds: float) -> _T:
    """Run a psycopg generator, for at most `seconds`; zero looks once at what is there.

    Raises:
        WaitTimeout: the time is up.
        psycopg.Error: as `drive`.
    """
    deadline = trio.current_time() + seconds
    try:
        wanted = next(gen)
        while True:
            # Looked at before the clock: what has already arrived is never lost to a timeout.
            ready = poll(fd, wanted)
            with trio.CancelScope(deadline=deadline):
                ready = ready or await wait_either(fd, wanted)
            if not ready:
                raise WaitTimeout(f"nothing came within {seconds} s")
            wanted = gen.send(ready)
    except StopIteration as stop:
        result: _T = stop.value
    except trio.ClosedResourceError as closed:
        raise psycopg.OperationalError("the connection was closed by another task") from closed
    except OSError as error:
        raise psycopg.OperationalError("the connection's socket is closed") from error
    await _breath.take()
    return result


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


async def wait_either(fd: int, wanted: int) -> Ready:
    """Wait until `fd` is ready for one of the wanted directions; say which."""
    if wanted == _WAIT_R:
        await trio.lowlevel.wait_readable(fd)
        return _READY_R
    if wanted == _WAIT_W:
        await trio.lowlevel.wait_writable(fd)
        return _READY_W
    return await _wait_both(fd)


async def _wait_both(fd: int) -> Ready:
    """Wait for reading and writing at once: two tasks, the first to be ready ends the other."""
    ready = _READY_NONE
    closed: Exception | None = None

    async def watch(direction: Ready) -> None:
        nonlocal ready, closed
        try:
            if direction is _READY_R:
                await trio.lowlevel.wait_readable(fd)
            else:
                await trio.lowlevel.wait_writable(fd)
        except (trio.ClosedResourceError, OSError) as error:
            closed = error  # kept out of the nursery: an exception group would hide it from the caller
        else:
            ready = Ready(ready | direction)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, _READY_R)
        nursery.start_soon(watch, _READY_W)
    if closed is not None:
        raise closed
    return ready


if sys.platform == "win32":  # pragma: no cover: Windows has no poll

    def poll(fd: int, wanted: int) -> Ready:
        """Say which of the wanted directions `fd` is ready for now, without waiting."""
        readers = [fd] if wanted & _WAIT_R else []
        writers = [fd] if wanted & _WAIT_W else []
        readable, writable, _ = select.select(readers, writers, [], 0)
        return Ready((_READY_R if readable else 0) | (_READY_W if writable else 0))

else:

    def poll(fd: int, wanted: int) -> Ready:
        """Say which of the wanted directions `fd` is ready for now, without waiting."""
        mask = (select.POLLIN if wanted & _WAIT_R else 0) | (select.POLLOUT if wanted & _WAIT_W else 0)
        poller = select.poll()
        poller.register(fd, mask)
        events = poller.poll(0)
        if not events:
            return _READY_NONE
        flags = events[0][1]
        if flags & ~(select.POLLIN | select.POLLOUT):
            return Ready(wanted)  # hung up or in error: whatever is tried next will say so
        return Ready((_READY_R if flags & select.POLLIN else 0) | (_READY_W if flags & select.POLLOUT else 0))
