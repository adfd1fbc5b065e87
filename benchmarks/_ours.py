"""Rolebook as a contender."""

import os
import random
import time
import tracemalloc
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import trio
from attrs import define, frozen

import rolebook as rb
from benchmarks._bench import Figures, Stopwatch, on_trio, percentiles, snapshot_held
from rolebook.runtime import Settings
from rolebook.runtime.postgres import Connection

CHUNK = 1000
ROOMY = Settings(residents=1_000_000)


@rb.event("bench.added")
@frozen
class Added:
    amount: int


@rb.command("bench.add")
@frozen
class Add(rb.Command[int]):
    amount: int


@rb.command("bench.noop")
@frozen
class Noop(rb.Command[None]):
    pass


def counter(name: str, snapshot_every: int | None = None) -> type:
    """Make a kind of actor that adds numbers: one event for each command."""

    @rb.actor(name, snapshot_every=snapshot_every)
    @define
    class Counter:
        total: int = 0

        @rb.decide
        def add(self, command: Add) -> rb.Effects[int]:
            yield Added(command.amount)
            return self.total

        @rb.apply
        def added(self, event: Added) -> None:
            self.total += event.amount

    return Counter


Counter = counter("counter")


async def burst(runtime: rb.Runtime, url: str, effects: Iterable[rb.Tell | rb.Enqueue]) -> Stopwatch:
    """Send everything in one transaction of somebody else's; time starts when it is committed."""
    waiting = list(effects)
    async with await Connection.connect(url) as connection:
        for start in range(0, len(waiting), CHUNK):
            await runtime.send(*waiting[start : start + CHUNK], connection=connection)
        await connection.commit()
        return Stopwatch()


async def until_committed(runtime: rb.Runtime, turns: int) -> None:
    """Wait until so many turns are committed, all told."""
    while runtime.statistics().turns < turns:  # noqa: ASYNC110 - as those on asyncio wait
        await trio.sleep(0.001)


def _adds(keys: Iterable[int]) -> list[rb.Tell | rb.Enqueue]:
    return [rb.Tell("counter", str(key), Add(1)) for key in keys]


async def _committed(runtime: rb.Runtime, url: str, keys: Iterable[int]) -> Figures:
    """From the commit that sends a command to each key to the commit of the last turn."""
    effects = _adds(keys)
    before = runtime.statistics().turns
    watch = await burst(runtime, url, effects)
    await until_committed(runtime, before + len(effects))
    return watch.figures(len(effects))


# ---- handling ----


@on_trio
async def drain(url: str, *, count: int, concurrency: int = 8, dead: int = 0) -> Figures:
    """From the commit that sends everything to the commit that acknowledges the last.

    Before it, so many messages are drained whose dead rows a long transaction keeps in the table.
    """
    app = rb.App("bench", actors=[])

    @app.handler("work", concurrency=concurrency)
    async def work(_: Noop) -> None:
        pass

    async with rb.open_runtime(app, database=url) as runtime:
        await burst(runtime, url, [rb.Enqueue("work", Noop())])
        await until_committed(runtime, 1)
        with snapshot_held(url) if dead else nullcontext():
            await burst(runtime, url, [rb.Enqueue("work", Noop())] * dead)
            await until_committed(runtime, dead + 1)
            watch = await burst(runtime, url, [rb.Enqueue("work", Noop())] * count)
            await until_committed(runtime, dead + count + 1)
            return watch.figures(count)


@on_trio
async def latency(url: str, *, count: int) -> Figures:
    """From before a send by SQL, on a connection of its own, to the call of an idle handler."""
    app = rb.App("bench", actors=[])
    called, at = trio.Event(), 0.0

    @app.handler("work")
    async def work(_: Noop) -> None:
        nonlocal at
        at = time.perf_counter()
        called.set()

    taken: list[float] = []
    async with (
        rb.open_runtime(app, database=url) as runtime,
        await Connection.connect(url, autocommit=True) as sender,
    ):
        await runtime.wait_idle()
        for number in range(count + 1):
            called = trio.Event()
            began = time.perf_counter()
            await sender.execute("select rolebook.enqueue('work', 'bench.noop', '{}')", prepare=True)
            await called.wait()
            if number:
                taken.append(at - began)
            await trio.sleep(random.uniform(0.01, 0.03))
    return percentiles(taken)


# ---- sending ----


@on_trio
async def send_by_sql(url: str, *, count: int, senders: int) -> Figures:
    """Several connections that call the SQL function, a commit for each message."""
    async with rb.open_runtime(rb.App("bench", actors=[Counter]), database=url):
        pass  # the schema
    connections = [await Connection.connect(url, autocommit=True) for _ in range(senders)]
    query = "select rolebook.enqueue('work', 'bench.noop', '{}')"

    async def send(connection: Connection, times: int) -> None:
        for _ in range(times):
            await connection.execute(query, prepare=True)

    for connection in connections:
        await send(connection, 1)
    watch = Stopwatch()
    async with trio.open_nursery() as nursery:
        for connection in connections:
            nursery.start_soon(send, connection, count // senders)
    figures = watch.figures(count // senders * senders)
    for connection in connections:
        await connection.close()
    return figures


@on_trio
async def send_each(url: str, *, count: int, senders: int) -> Figures:
    """Several tasks that send through one runtime, each waiting for its commit."""
    async with rb.open_runtime(rb.App("bench", actors=[Counter]), database=url) as runtime:

        async def send(times: int) -> None:
            for _ in range(times):
                await runtime.enqueue("work", Noop())

        await send(1)
        watch = Stopwatch()
        async with trio.open_nursery() as nursery:
            for _ in range(senders):
                nursery.start_soon(send, count // senders)
        return watch.figures(count // senders * senders)


@on_trio
async def send_many(url: str, *, count: int, batch: int) -> Figures:
    """One sender, a commit for each batch."""
    async with rb.open_runtime(rb.App("bench", actors=[Counter]), database=url) as runtime:
        await runtime.send(rb.Enqueue("work", Noop()))
        watch = Stopwatch()
        for _ in range(count // batch):
            await runtime.send(*[rb.Enqueue("work", Noop()) for _ in range(batch)])
        return watch.figures(count // batch * batch)


# ---- actors ----


@on_trio
async def turns(url: str, *, count: int, actors: int, history: int = 3) -> Figures:
    """Turns of actors with a short journal: the first after a restart, and those after it."""
    keys = range(actors)
    async with rb.open_runtime(rb.App("bench", actors=[Counter]), database=url, settings=ROOMY) as runtime:
        for _ in range(history):
            await _committed(runtime, url, keys)
    async with rb.open_runtime(rb.App("bench", actors=[Counter]), database=url, settings=ROOMY) as runtime:
        cold = await _committed(runtime, url, keys)
        cached = await _committed(runtime, url, (number % actors for number in range(count)))
    return {
        "cached": cached["rate"],
        "cached_cpu": cached["cpu"],
        "cold": cold["rate"],
        "cold_cpu": cold["cpu"],
    }


@on_trio
async def cached(url: str, *, count: int, actors: int = 1000) -> Figures:
    """Turns of actors in memory, one event each."""
    async with rb.open_runtime(rb.App("bench", actors=[Counter]), database=url) as runtime:
        await _committed(runtime, url, range(actors))
        return await _committed(runtime, url, (number % actors for number in range(count)))


@on_trio
async def hot(url: str, *, count: int) -> Figures:
    """All turns by one actor."""
    async with rb.open_runtime(rb.App("bench", actors=[Counter]), database=url) as runtime:
        await _committed(runtime, url, [0])
        return await _committed(runtime, url, [0] * count)


@on_trio
async def asks(url: str, *, count: int, callers: int, actors: int = 1000) -> Figures:
    """Callers that wait for the reply of each ask before the next, to actors in memory."""
    taken: list[float] = []
    async with rb.open_runtime(rb.App("bench", actors=[Counter]), database=url) as runtime:
        await _committed(runtime, url, range(actors))

        async def call(times: int) -> None:
            for _ in range(times):
                began = time.perf_counter()
                await runtime.ask(Counter, str(random.randrange(actors)), Add(1))
                taken.append(time.perf_counter() - began)

        watch = Stopwatch()
        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(call, count // callers)
        return {**watch.figures(len(taken)), **percentiles(taken)}


@on_trio
async def replay(url: str, *, count: int, snapshot_every: int | None = None) -> Figures:
    """One actor rebuilt from its journal: read, decoded, applied."""
    kind = counter("counter", snapshot_every)
    async with rb.open_runtime(rb.App("bench", actors=[kind]), database=url) as runtime:
        await _committed(runtime, url, [0] * count)
        await runtime.read(kind, "0")
        watch = Stopwatch()
        for _ in range(3):
            await runtime.read(kind, "0")
        return watch.figures(3 * count)


@on_trio
async def memory(url: str, *, actors: int, traced: bool = False) -> Figures:
    """What a worker takes with so many actors in memory, and what each of them takes."""
    async with rb.open_runtime(rb.App("bench", actors=[Counter]), database=url, settings=ROOMY) as runtime:
        await _committed(runtime, url, [0])
        before = resident_bytes()
        if traced:
            tracemalloc.start()
        for start in range(0, actors, CHUNK):
            await _committed(runtime, url, range(start, min(start + CHUNK, actors)))
        each = tracemalloc.get_traced_memory()[0] if traced else resident_bytes() - before
        return {"mb": resident_bytes() / 1e6, "each": each / actors}


def resident_bytes() -> int:
    """Return the resident memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
