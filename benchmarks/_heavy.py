"""Large payloads and long backlogs, and the memory of the process that stands before them."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
from attrs import define, frozen

import rolebook as rb
from benchmarks._bench import Figures, on_trio
from rolebook.runtime import Runtime
from rolebook.runtime.postgres import connect_session, migrate

MB = 1_000_000


@rb.command("heavy.take")
@frozen
class Take(rb.Command[None]):
    text: str


@rb.command("heavy.write")
@frozen
class Write(rb.Command[None]):
    size: int


@rb.event("heavy.written")
@frozen
class Written:
    text: str


@rb.actor("page")
@define
class Page:
    """Keeps the length of what was written on it."""

    size: int = 0

    @rb.decide
    def write(self, command: Write) -> rb.Effects[None]:
        yield Written("x" * command.size)

    @rb.apply
    def written(self, event: Written) -> None:
        self.size += len(event.text)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def _set_back() -> int:
    """Let the peak be what is resident now, and return that."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _kilobytes("VmRSS")


async def _measured(url: str, bound: int | None, work: Callable[[Runtime], Awaitable[None]]) -> Figures:
    """Run an app on what is in the database; return how far the resident memory grew (Linux)."""
    app = rb.App("heavy", actors=[Page], limits=rb.Limits(payload=1 << 26))

    @app.handler("work", concurrency=4)
    async def take(command: Take) -> None:
        del command
        await trio.lowlevel.checkpoint()

    bounds: dict[str, Any] = {}
    if bound is not None:
        bounds = dict.fromkeys(("mailbox_bytes", "batch_bytes", "replay_bytes"), bound)
    async with rb.open_client(app, database=url) as client:
        await client.depths()  # what every process takes
    before = _set_back()
    began = time.perf_counter()
    async with rb.open_runtime(app, database=url, settings=rb.Settings(**bounds)) as runtime:
        await work(runtime)
    growth = (_kilobytes("VmHWM") - before) * 1024 / MB
    return {"growth": growth, "seconds": time.perf_counter() - began}


async def _prepare(url: str, statement: str, *values: object) -> None:
    async with await connect_session(url, role="setup", process="heavy") as connection:
        await migrate(connection, schema="rolebook", partitions=32)
        await connection.execute(statement.encode(), values)


async def _until(runtime: Runtime, turns: int) -> None:
    while runtime.statistics().turns < turns:  # noqa: ASYNC110 - as in the other benchmarks
        await trio.sleep(0.005)


@on_trio
async def drain(url: str, *, count: int, size: int, bound: int | None = None) -> Figures:
    """A queue of large messages."""
    await _prepare(
        url,
        "insert into rolebook.messages (queue, partition, type, payload)"
        " select 'work', i %% 32, 'heavy.take', json_build_object('text', repeat(md5(i::text), %s))"
        " from generate_series(1, %s) as i",
        size // 32,
        count,
    )

    async def work(runtime: Runtime) -> None:
        await _until(runtime, count)

    return await _measured(url, bound, work)


@on_trio
async def stand(url: str, *, count: int, handle: int, bound: int | None = None) -> Figures:
    """A long backlog of small messages, of which some are handled."""
    await _prepare(
        url,
        "insert into rolebook.messages (queue, partition, type, payload)"
        " select 'work', i %% 32, 'heavy.take', json_build_object('text', i::text)"
        " from generate_series(1, %s) as i",
        count,
    )

    async def work(runtime: Runtime) -> None:
        await _until(runtime, handle)

    return await _measured(url, bound, work)


@on_trio
async def replay(url: str, *, count: int, size: int, actors: int = 1, bound: int | None = None) -> Figures:
    """Actors with journals of large events, all of them asked at once; what is stored is compressed."""
    await _prepare(
        url,
        "insert into rolebook.events (actor, key, seq, type, version, payload)"
        " select 'page', (i %% %s)::text, 1 + i / %s, 'heavy.written', 1,"
        "        json_build_object('text', repeat(md5(i::text), %s))"
        " from generate_series(0, %s - 1) as i",
        actors,
        actors,
        size // 32,
        count,
    )

    async def work(runtime: Runtime) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(actors):
                nursery.start_soon(runtime.ask, Page, str(number), Write(1))

    return await _measured(url, bound, work)


@on_trio
async def write(url: str, *, count: int, size: int, bound: int | None = None) -> Figures:
    """Small commands, each of which stores a large event."""
    await _prepare(
        url,
        "insert into rolebook.messages (queue, partition, key, type, payload)"
        " select 'page', rolebook.partition_of(i::text), i::text, 'heavy.write',"
        "        json_build_object('size', %s)"
        " from generate_series(1, %s) as i",
        size,
        count,
    )

    async def work(runtime: Runtime) -> None:
        await _until(runtime, count)

    return await _measured(url, bound, work)
