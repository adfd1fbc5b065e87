"""What the contenders on asyncio share."""

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from benchmarks._bench import Figures, Stopwatch, percentiles


def on_asyncio(function: Callable[..., Awaitable[Figures]]) -> Callable[..., Figures]:
    """Turn an async work into one that a contender's process can call."""

    @functools.wraps(function)
    def call(url: str, **arguments: Any) -> Figures:
        return asyncio.run(function(url, **arguments))

    return call


class Counting:
    """A handler's memory: when it was called, and whether that was often enough."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.at = 0.0
        self.enough = asyncio.Event()
        self.called = asyncio.Event()

    def expect(self, count: int) -> None:
        """Begin anew, with so many calls to come."""
        self.left = count
        self.enough.clear()

    def call(self) -> None:
        """Note a call."""
        self.at = time.perf_counter()
        self.left -= 1
        self.called.set()
        if self.left <= 0:
            self.enough.set()


async def alive(event: asyncio.Event, worker: "asyncio.Task[Any]") -> None:
    """Wait for an event; raise if the worker ends before."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting, worker}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        worker.result()
        raise RuntimeError("the worker ended by itself")


async def until_empty(is_empty: Callable[[], Awaitable[Any]]) -> None:
    """Wait until the queue's table says that the last acknowledgement is committed."""
    while not await is_empty():
        await asyncio.sleep(0.002)


async def warm(counting: Counting, worker: "asyncio.Task[Any]", send: Callable[[], Awaitable[Any]]) -> None:
    """Send one message and wait until it is handled: from then on the worker is known to work."""
    await send()
    await alive(counting.called, worker)
    await asyncio.sleep(0.3)
    counting.left += 1
    counting.called.clear()


async def latencies(
    count: int, counting: Counting, worker: "asyncio.Task[Any]", send: Callable[[], Awaitable[Any]]
) -> Figures:
    """From before a send to the call of the handler, with the worker idle in between."""
    await warm(counting, worker, send)
    taken: list[float] = []
    for _ in range(count):
        counting.called.clear()
        began = time.perf_counter()
        await send()
        await alive(counting.called, worker)
        taken.append(counting.at - began)
        await asyncio.sleep(random.uniform(0.01, 0.03))
    return percentiles(taken)


async def send_alone(count: int, senders: Sequence[Callable[[], Awaitable[Any]]]) -> Figures:
    """Several senders, each message a commit of its own."""
    for send in senders:
        await send()
    watch = Stopwatch()

    async def go(send: Callable[[], Awaitable[Any]]) -> None:
        for _ in range(count // len(senders)):
            await send()

    await asyncio.gather(*map(go, senders))
    return watch.figures(count // len(senders) * len(senders))


async def send_batches(count: int, batch: int, send: Callable[[int], Awaitable[Any]]) -> Figures:
    """One sender, a commit for each batch."""
    await send(batch)
    watch = Stopwatch()
    for _ in range(count // batch):
        await send(batch)
    return watch.figures(count // batch * batch)
