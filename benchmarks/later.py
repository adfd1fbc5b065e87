"""Messages for later before a backlog of others that are not due, and beside a process that freezes.

    python -m benchmarks.later [--backlogs 0 1000000] [--count 300] [--rounds 1] [--database-url URL]

For each backlog: how long one look takes that finds nothing due; how late messages reach their handler, from
when each was due; and the same while another process, which promotes as well, is stopped and let go all the
time, three of four seconds stopped.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Any

import psycopg
import trio
from attrs import frozen

import rolebook as rb
from benchmarks._bench import Column, Contender, Figures, Report, main, on_trio, parser, percentiles

STEP = 0.02
"""Seconds between two messages that are due."""


@rb.command("bench.due")
@frozen
class Due(rb.Command[None]):
    """A message for later that knows when it is due."""

    at: float


def fill(connection: psycopg.Connection[Any], backlog: int) -> None:
    """Send messages that are due in the next months, in no order."""
    connection.execute(
        b"insert into rolebook.scheduled (due_at, queue, partition, priority, key, type, version, payload)"
        b" select now() + interval '1 day' + random() * interval '90 days', 'letters', n %% 32, 0, 'k' || n,"
        b" 'bench.due', 1, '{\"at\":0}' from generate_series(1, %s) n",
        (backlog,),
    )
    connection.execute("vacuum analyze rolebook.scheduled")
    connection.execute("checkpoint")


def look(connection: psycopg.Connection[Any], times: int = 200) -> Figures:
    """How long a look takes that finds nothing due, in ms."""
    taken: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        connection.execute("select queues, next_due from rolebook.promote_due(1000)")
        taken.append(time.perf_counter() - began)
    return {"look": median(taken) * 1e3}


async def lateness(url: str, count: int) -> list[float]:
    """How many seconds after it was due each message reached its handler."""
    app = rb.App("later")
    late: list[float] = []
    done = trio.Event()

    @app.handler("due")
    async def due(command: Due) -> None:
        late.append(time.time() - command.at)
        if len(late) == count:
            done.set()

    async with rb.open_runtime(app, database=url, process="one") as runtime:
        first = time.time() + 1
        for number in range(count):
            at = first + number * STEP
            await runtime.enqueue("due", Due(at), at=datetime.fromtimestamp(at, UTC))
        await done.wait()
    return late


@contextmanager
def another(url: str) -> Generator[subprocess.Popen[str]]:
    """Run a process of another app on the same database: it promotes what is due, and handles none of it."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.later", "--worker", url],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        try:
            yield worker
        finally:
            worker.kill()


async def promote(url: str) -> None:
    """Run what `another` starts."""
    app = rb.App("other")

    @app.handler("letters")
    async def letters(_: Due) -> None:
        pass

    async with rb.open_runtime(app, database=url, process="two"):
        print("ready", flush=True)
        await trio.sleep_forever()


@asynccontextmanager
async def freezing(worker: subprocess.Popen[str]) -> AsyncGenerator[None]:
    """Stop a process at random moments, and let it go again."""

    async def freeze() -> None:
        dice = random.Random(7)
        while True:
            await trio.sleep(dice.random() * 0.5)
            os.kill(worker.pid, signal.SIGSTOP)
            try:
                await trio.sleep(0.75)
            finally:
                os.kill(worker.pid, signal.SIGCONT)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(freeze)
        yield
        nursery.cancel_scope.cancel()


@on_trio
async def later(url: str, *, backlog: int, count: int) -> Figures:
    """Measure one backlog."""
    async with rb.open_client(rb.App("later"), database=url):
        pass
    with psycopg.connect(url, autocommit=True) as connection:
        fill(connection, backlog)
        looked = look(connection)
    alone = percentiles(await lateness(url, count))
    with another(url) as worker:
        async with freezing(worker):
            frozen_ = percentiles(await lateness(url, count))
    return {
        **looked,
        **alone,
        "frozen_p50": frozen_["p50"],
        "frozen_p99": frozen_["p99"],
    }


def measure(report: Report, backlogs: list[int], count: int) -> None:
    """Measure each backlog."""
    report.compare(
        "messages for later",
        [
            Contender(
                f"{number:,} not due",
                "benchmarks.later",
                "later",
                {"backlog": number, "count": count},
                longest=60 + number / 10_000,
            )
            for number in backlogs
        ],
        [
            Column("a look, ms", "look", "{:.2f}"),
            Column("late p50, ms", "p50", "{:.1f}"),
            Column("p99, ms", "p99", "{:.1f}"),
            Column("beside one that freezes p50, ms", "frozen_p50", "{:.1f}"),
            Column("p99, ms", "frozen_p99", "{:.1f}"),
        ],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        trio.run(promote, sys.argv[2])
    else:
        arguments = parser(__doc__)
        arguments.add_argument("--backlogs", type=int, nargs="+", default=[0, 1_000_000])
        arguments.add_argument("--count", type=int, default=300)
        given = arguments.parse_args()
        main("later", given, lambda report: measure(report, given.backlogs, given.count))
