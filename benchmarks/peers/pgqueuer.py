"""pgqueuer on asyncpg: batches of 500, which it acknowledges in batches too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import asyncpg
from pgqueuer import AsyncpgDriver, Queries, QueueManager

from benchmarks._bench import Figures, Stopwatch, snapshot_held
from benchmarks.peers._common import (
    Counting,
    alive,
    latencies,
    on_asyncio,
    send_alone,
    send_batches,
    until_empty,
    warm,
)


async def _sender(url: str) -> tuple[asyncpg.Connection, Queries]:
    connection = await asyncpg.connect(url)
    return connection, Queries(AsyncpgDriver(connection))


async def _send(queries: Queries, count: int) -> None:
    await queries.enqueue(["work"] * count, [b"{}"] * count, [0] * count)


@asynccontextmanager
async def _worker(url: str, counting: Counting, batch: int) -> AsyncIterator["asyncio.Task[None]"]:
    queries = Queries(AsyncpgDriver(await asyncpg.connect(url)))
    await queries.install()
    manager = QueueManager(queries)

    @manager.entrypoint("work")
    async def work(_: Any) -> None:
        counting.call()

    running = asyncio.create_task(manager.run(batch_size=batch))
    try:
        yield running
    finally:
        manager.shutdown.set()
        await running


@on_asyncio
async def drain(url: str, *, count: int, batch: int = 500, dead: int = 0) -> Figures:
    counting = Counting(count)
    async with _worker(url, counting, batch) as worker:
        connection, queries = await _sender(url)
        await asyncio.sleep(0.3)
        await warm(counting, worker, lambda: _send(queries, 1))

        async def drained(messages: int) -> Figures:
            counting.expect(messages)
            async with connection.transaction():
                await _send(queries, messages)
            watch = Stopwatch()
            await alive(counting.enough, worker)
            await until_empty(lambda: connection.fetchval("select not exists (select from pgqueuer)"))
            return watch.figures(messages)

        with snapshot_held(url) if dead else nullcontext():
            if dead:
                await drained(dead)
            return await drained(count)


@on_asyncio
async def latency(url: str, *, count: int) -> Figures:
    counting = Counting(count)
    async with _worker(url, counting, 10) as worker:
        _, queries = await _sender(url)
        await asyncio.sleep(0.3)
        return await latencies(count, counting, worker, lambda: queries.enqueue("work", b"{}"))


@on_asyncio
async def send_each(url: str, *, count: int, senders: int) -> Figures:
    opened = [(await _sender(url))[1] for _ in range(senders)]
    await opened[0].install()
    return await send_alone(count, [lambda each=each: each.enqueue("work", b"{}") for each in opened])


@on_asyncio
async def send_many(url: str, *, count: int, batch: int) -> Figures:
    _, queries = await _sender(url)
    await queries.install()
    return await send_batches(count, batch, lambda each: _send(queries, each))
