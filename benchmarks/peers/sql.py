"""The bare SQL that the contenders are held against: psycopg on asyncio, tables of the same shape."""

import asyncio
from typing import Any

from psycopg import AsyncConnection

from benchmarks._bench import Figures, Stopwatch
from benchmarks.peers._common import Counting, latencies, on_asyncio, send_alone, send_batches

MESSAGES = """
create table messages (
    id bigint generated always as identity primary key, queue text not null, partition smallint not null,
    key text, type text not null, version smallint not null, payload json not null)
"""
EVENTS = """
create table events (
    actor text, key text, seq bigint, type text not null, version smallint not null, payload json not null,
    metadata json, recorded_at timestamptz not null default now(), primary key (actor, key, seq))
"""
SEND = "insert into messages (queue, partition, type, version, payload) values ('work', 1, 'noop', 1, '{}')"
SEND_MANY = """
insert into messages (queue, partition, type, version, payload)
select 'work', 1, 'noop', 1, payload from unnest(%s::text[]::json[]) as payload
"""
TAKE = """
with head as materialized (select id from messages order by id limit %s for update skip locked)
delete from messages m using head where m.id = head.id returning m.*
"""
APPEND = """
insert into events (actor, key, seq, type, version, payload, metadata)
values ('counter', %s, %s, 'added', 1, '{"amount":1}', '{}')
"""
LOAD = (
    "select seq, type, version, payload::text from events where actor = 'counter' and key = %s order by seq"
)

Connection = AsyncConnection[Any]


async def _connect(url: str) -> Connection:
    return await AsyncConnection.connect(url, autocommit=True, prepare_threshold=0)


async def _fill(connection: Connection, count: int) -> None:
    await connection.execute(MESSAGES)
    await connection.execute(SEND_MANY, (["{}"] * count,))
    await connection.execute("analyze messages")


@on_asyncio
async def drain_batches(url: str, *, count: int, batch: int = 500) -> Figures:
    """Delete and return in batches: at most once, for what is in a batch is lost with the process."""
    connection = await _connect(url)
    await _fill(connection, count)
    watch, left = Stopwatch(), count
    while left > 0:
        left -= len(await (await connection.execute(TAKE, (batch,))).fetchall())
    return watch.figures(count)


@on_asyncio
async def drain_each(url: str, *, count: int, workers: int = 16) -> Figures:
    """Several connections, each message a transaction of its own."""
    connections = [await _connect(url) for _ in range(workers)]
    await _fill(connections[0], count)

    async def work(connection: Connection) -> None:
        while await (await connection.execute(TAKE, (1,))).fetchall():
            pass

    watch = Stopwatch()
    await asyncio.gather(*map(work, connections))
    return watch.figures(count)


@on_asyncio
async def latency(url: str, *, count: int) -> Figures:
    """A sender that notifies; a listener that deletes what it was told of."""
    listener, taker, sender = [await _connect(url) for _ in range(3)]
    await taker.execute(MESSAGES)
    await listener.execute("listen bell")
    counting = Counting(count)

    async def work() -> None:
        while True:
            async for _ in listener.notifies(timeout=60, stop_after=1):
                if await (await taker.execute(TAKE, (10,))).fetchall():
                    counting.call()

    async def send() -> None:
        async with sender.pipeline():  # one round trip, one transaction
            await sender.execute("begin")
            await sender.execute(SEND)
            await sender.execute("select pg_notify('bell', '')")
            await sender.execute("commit")

    worker = asyncio.create_task(work())
    figures = await latencies(count, counting, worker, send)
    worker.cancel()
    return figures


@on_asyncio
async def send_each(url: str, *, count: int, senders: int, notify: bool = False) -> Figures:
    connections = [await _connect(url) for _ in range(senders)]
    await connections[0].execute(MESSAGES)
    query = f"with sent as ({SEND}) select pg_notify('bell', '')" if notify else SEND
    return await send_alone(count, [lambda each=each: each.execute(query) for each in connections])


@on_asyncio
async def send_many(url: str, *, count: int, batch: int) -> Figures:
    connection = await _connect(url)
    await connection.execute(MESSAGES)
    return await send_batches(count, batch, lambda each: connection.execute(SEND_MANY, (["{}"] * each,)))


async def _append(connection: Connection, key: str, seqs: dict[str, int]) -> None:
    seqs[key] = seqs.get(key, 0) + 1
    await connection.execute(APPEND, (key, seqs[key]))


@on_asyncio
async def turns(url: str, *, count: int, actors: int, workers: int = 1, load: bool = False) -> Figures:
    """One event appended for each turn, in a commit of its own; loaded first, or not."""
    connections = [await _connect(url) for _ in range(workers)]
    await connections[0].execute(EVENTS)
    seqs: dict[str, int] = {}
    for number in range(min(actors, 1000)):
        await _append(connections[0], str(number), seqs)

    async def work(place: int) -> None:
        connection = connections[place]
        for number in range(place, count, workers):
            key = str(number % actors)
            if load:
                await (await connection.execute(LOAD, (key,))).fetchall()
            await _append(connection, key, seqs)

    watch = Stopwatch()
    await asyncio.gather(*map(work, range(workers)))
    return {"cold" if load else "cached": watch.figures(count)["rate"]}


@on_asyncio
async def replay(url: str, *, count: int) -> Figures:
    """Read a journal into Python, and do nothing with it."""
    connection = await _connect(url)
    await connection.execute(EVENTS)
    await connection.execute(
        "insert into events select 'counter', '0', n, 'added', 1, '{\"amount\":1}', '{}' "
        "from generate_series(1, %s) as n",
        (count,),
    )
    await connection.execute("analyze events")
    await (await connection.execute(LOAD, ("0",))).fetchall()
    watch = Stopwatch()
    for _ in range(3):
        found = await (await connection.execute(LOAD, ("0",))).fetchall()
    assert len(found) == count
    return watch.figures(3 * count)
