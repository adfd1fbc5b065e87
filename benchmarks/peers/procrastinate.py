"""procrastinate on psycopg: 16 jobs at a time, each fetched and finished by a statement of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector

from benchmarks._bench import Figures, Stopwatch
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


@asynccontextmanager
async def _opened(url: str, counting: Counting, connections: int) -> AsyncIterator[tuple[App, Any]]:
    app = App(connector=PsycopgConnector(conninfo=url, min_size=connections, max_size=connections))

    @app.task(name="work", queue="work")
    async def work() -> None:
        counting.call()

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield app, work


@asynccontextmanager
async def _worker(app: App, concurrency: int) -> AsyncIterator["asyncio.Task[None]"]:
    running = asyncio.create_task(
        app.run_worker_async(
            queues=["work"], concurrency=concurrency, delete_jobs="always", install_signal_handlers=False
        )
    )
    try:
        await asyncio.sleep(0.3)
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@on_asyncio
async def drain(url: str, *, count: int, concurrency: int = 16) -> Figures:
    counting = Counting(count)
    async with _opened(url, counting, concurrency + 4) as (app, work), _worker(app, concurrency) as worker:
        await warm(counting, worker, work.defer_async)
        await work.batch_defer_async(*[{}] * count)
        watch = Stopwatch()
        await alive(counting.enough, worker)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

            async def is_empty() -> Any:
                answer = await connection.execute("select not exists (select from procrastinate_jobs)")
                return (await answer.fetchone() or (False,))[0]

            await until_empty(is_empty)
        return watch.figures(count)


@on_asyncio
async def latency(url: str, *, count: int) -> Figures:
    counting = Counting(count)
    async with _opened(url, counting, 8) as (app, work), _worker(app, 2) as worker:
        return await latencies(count, counting, worker, work.defer_async)


@on_asyncio
async def send_each(url: str, *, count: int, senders: int) -> Figures:
    async with _opened(url, Counting(0), senders) as (_, work):
        return await send_alone(count, [work.defer_async] * senders)


@on_asyncio
async def send_many(url: str, *, count: int, batch: int) -> Figures:
    async with _opened(url, Counting(0), 2) as (_, work):
        return await send_batches(count, batch, lambda each: work.batch_defer_async(*[{}] * each))
