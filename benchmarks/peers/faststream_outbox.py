"""faststream-outbox on asyncpg: fetches of 1,000, acknowledgements in batches of 500 or one by one."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from faststream_outbox import OutboxBroker, make_outbox_table
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks._bench import Figures, Stopwatch
from benchmarks.peers._common import (
    Counting,
    latencies,
    on_asyncio,
    send_alone,
    send_batches,
    until_empty,
    warm,
)


@asynccontextmanager
async def _opened(url: str, connections: int) -> AsyncIterator[tuple[AsyncEngine, OutboxBroker]]:
    metadata = MetaData()
    table = make_outbox_table(metadata, table_name="outbox")
    engine = create_async_engine(
        url.replace("postgresql:", "postgresql+asyncpg:", 1), pool_size=connections, max_overflow=4
    )
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    broker = OutboxBroker(engine, outbox_table=table, logger=logging.getLogger("quiet"))
    try:
        yield engine, broker
    finally:
        await engine.dispose()


async def _send(engine: AsyncEngine, broker: OutboxBroker) -> None:
    async with engine.begin() as connection:
        await broker.publish({}, queue="work", session=connection)


async def _send_many(engine: AsyncEngine, broker: OutboxBroker, count: int) -> None:
    async with engine.begin() as connection:
        for start in range(0, count, 1000):
            bodies = [{}] * min(1000, count - start)
            await broker.publish_batch(*bodies, queue="work", session=connection)


async def _is_empty(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(text("select not exists (select from outbox)"))


@asynccontextmanager
async def _worker(
    broker: OutboxBroker, counting: Counting, **options: Any
) -> AsyncIterator["asyncio.Task[Any]"]:
    @broker.subscriber("work", min_fetch_interval=0.01, max_fetch_interval=5.0, **options)
    async def work(_: dict[str, Any]) -> None:
        counting.call()

    await broker.start()
    try:
        yield asyncio.create_task(asyncio.Event().wait())  # it restarts its loops itself
    finally:
        await broker.stop()


@on_asyncio
async def drain(url: str, *, count: int, fetch: int = 1000, workers: int = 8, ack: int = 500) -> Figures:
    counting = Counting(count)
    options = {"max_workers": workers, "fetch_batch_size": fetch, "terminal_flush_batch_size": ack}
    async with _opened(url, workers + 4) as (engine, broker), _worker(broker, counting, **options) as worker:
        await warm(counting, worker, lambda: _send(engine, broker))
        await _send_many(engine, broker, count)
        watch = Stopwatch()
        await counting.enough.wait()
        await until_empty(lambda: _is_empty(engine))
        return watch.figures(count)


@on_asyncio
async def latency(url: str, *, count: int) -> Figures:
    counting = Counting(count)
    async with _opened(url, 8) as (engine, broker), _worker(broker, counting, max_workers=2) as worker:
        return await latencies(count, counting, worker, lambda: _send(engine, broker))


@on_asyncio
async def send_each(url: str, *, count: int, senders: int) -> Figures:
    async with _opened(url, senders) as (engine, broker):
        await broker.connect()
        return await send_alone(count, [lambda: _send(engine, broker)] * senders)


@on_asyncio
async def send_many(url: str, *, count: int, batch: int) -> Figures:
    async with _opened(url, 2) as (engine, broker):
        await broker.connect()
        return await send_batches(count, batch, lambda each: _send_many(engine, broker, each))
