"""What more processes bring: shares of one queue or of one kind of actor, on one database.

    python -m benchmarks.scale [--count 4000] [--rounds 3] [--processes 1 2 4] [--database-url URL]

Each contender is a number of processes. They start, settle who owns what, and work off the same messages,
which one transaction sent; the time is from its commit until the mailbox is empty. How many cores of the
machine were busy meanwhile says what more processes could bring. Counted on the server are the rows of
the mailbox that index scans read for each message handled, without the one that its deletion takes; in the
processes, how often they read.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import trio

import rolebook as rb
from benchmarks._bench import Column, Contender, Figures, Report, main, on_trio, parser, percentiles
from benchmarks._ours import Noop, counter

BUSY = 0.002
"""Seconds of computing in each turn that computes."""

VISITED = "select coalesce(sum(idx_tup_fetch), 0) from pg_stat_user_tables where relname = 'messages'"


def app_of(work: str) -> rb.App:
    """Return the app that a worker runs."""
    if work == "cached":
        return rb.App("scale", actors=[counter("counter")])
    app = rb.App("scale")

    @app.handler("jobs")
    async def job(_: Noop) -> None:
        if work == "busy":
            end = time.perf_counter() + BUSY
            while time.perf_counter() < end:
                pass

    return app


async def work_off(url: str, work: str, name: str) -> None:
    """Run one process until its input ends; then say what it has read."""
    async with rb.open_runtime(app_of(work), database=url, process=name) as runtime:
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        mailbox = runtime.statistics().mailbox
        print(json.dumps({"reads": mailbox.reads, "moves": mailbox.moves}))


def scale(url: str, *, count: int, work: str, processes: int, actors: int = 1000) -> Figures:
    """Let some processes work off some messages."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.scale", "--worker", url, work, f"w{number}"],
                    text=True,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for number in range(processes)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        with psycopg.connect(url, autocommit=True) as connection:
            _settled(connection, processes)
            visited, handled = _value(connection, VISITED), count
            if work == "cached":  # each actor is in memory before the clock starts
                _send(connection, work, actors, actors)
                _until_empty(connection)
                handled += actors
            _send(connection, work, count, actors)
            started, busy = time.perf_counter(), _cpu_seconds()
            _until_empty(connection)
            seconds, busy = time.perf_counter() - started, _cpu_seconds() - busy
            said: list[dict[str, int]] = []
            for worker in workers:
                out, _ = worker.communicate(timeout=60)
                said.append(json.loads(out))
            connection.execute("select pg_stat_force_next_flush()")
            visits = _value(connection, VISITED) - visited
    return {
        "rate": count / seconds,
        "cores": busy / seconds,
        "visited": visits / handled - 1,  # the deletion of a message reads it once more
        "reads": sum(each["reads"] for each in said) / handled,
    }


def _cpu_seconds() -> float:
    """What all processes of this machine have computed, the server among them; Linux knows."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def _value(connection: psycopg.Connection[Any], query: str) -> float:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0])


def _settled(connection: psycopg.Connection[Any], processes: int) -> None:
    """Wait until each process owns its share."""
    while True:
        rows = connection.execute(
            "select count(*) from rolebook.partitions where owner is not null group by owner"
        ).fetchall()
        owned = [count for (count,) in rows]
        if len(owned) == processes and max(owned) - min(owned) <= 1 and sum(owned) == 32:
            return
        time.sleep(0.05)


def _send(connection: psycopg.Connection[Any], work: str, count: int, actors: int) -> None:
    queue, type_, key, payload = (
        ("counter", "bench.add", f"'k' || n % {actors}", '{"amount":1}')
        if work == "cached"
        else ("jobs", "bench.noop", "null", "{}")
    )
    connection.execute(
        f"insert into rolebook.messages (queue, partition, key, type, payload)"
        f" select '{queue}', rolebook.partition_of({key}), {key}, '{type_}', '{payload}'"
        f" from generate_series(1, {count}) n".encode()
    )
    connection.execute("select rolebook.ring('*')")


def _until_empty(connection: psycopg.Connection[Any]) -> None:
    while _value(connection, "select exists (select from rolebook.messages)::int"):
        time.sleep(0.01)


@on_trio
async def hand_over(url: str, *, moves: int, joins: bool, keys: int = 64) -> Figures:
    """Let a second process join and leave under load; the longest pause of each key, each time.

    Or let a client come and go, which owns nothing: what a key pauses anyway.
    """
    app = rb.App("scale")
    seen: dict[str, float] = {}
    longest: dict[str, float] = {}

    @app.handler("jobs")
    async def job(_: Noop, turn: rb.Turn) -> None:
        now = trio.current_time()
        longest[turn.key] = max(longest.get(turn.key, 0.0), now - seen.get(turn.key, now))
        seen[turn.key] = now

    async def send(runtime: rb.Runtime, key: str) -> None:
        while True:
            await runtime.enqueue("jobs", Noop(), key=key)

    async def owns(runtime: rb.Runtime, count: int) -> None:
        while runtime.statistics().mailbox.owned.get("jobs") != count:  # noqa: ASYNC110 - nobody says when
            await trio.sleep(0.002)

    pauses: list[float] = []
    async with rb.open_runtime(app, database=url, process="one") as one, trio.open_nursery() as nursery:
        for number in range(keys):
            nursery.start_soon(send, one, f"k{number}")
        for _ in range(moves):
            longest.clear()
            if joins:
                async with rb.open_runtime(app, database=url, process="two") as two:
                    await owns(two, 16)
                    await trio.sleep(0.2)
                await owns(one, 32)
            else:
                async with rb.open_client(app, database=url, process="two"):
                    await trio.sleep(0.2)
            await trio.sleep(0.2)
            pauses += longest.values()
        nursery.cancel_scope.cancel()
    return percentiles(pauses)


def measure(report: Report, count: int, processes: list[int]) -> None:
    """Measure each kind of work with each number of processes."""
    columns = [
        Column("messages/s", "rate"),
        Column("cores busy", "cores", "{:.2f}"),
        Column("rows visited a message", "visited", "{:.2f}"),
        Column("reads a message", "reads", "{:.3f}"),
    ]
    for work, title, times in (
        ("busy", f"turns that compute for {BUSY * 1000:g} ms", 1),
        ("noop", "handlers that do nothing", 20),
        ("cached", "turns of actors in memory", 10),
    ):
        contenders = [
            Contender(
                f"{number} process{'es' * (number > 1)}",
                "benchmarks.scale",
                "scale",
                {"count": count * times, "work": work, "processes": number},
            )
            for number in processes
        ]
        report.compare(title, contenders, columns)
    report.compare(
        "longest pause of each of 64 keys",
        [
            Contender(name, "benchmarks.scale", "hand_over", {"moves": 10, "joins": joins})
            for name, joins in (("a process joins and leaves", True), ("a client comes and goes", False))
        ],
        [Column("p50 ms", "p50", "{:.1f}"), Column("p99 ms", "p99", "{:.1f}")],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        _, _, database_url, wanted, own_name = sys.argv
        trio.run(work_off, database_url, wanted, own_name)
    else:
        arguments = parser(__doc__)
        arguments.add_argument("--count", type=int, default=4000)
        arguments.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
        given = arguments.parse_args()
        main("scale", given, lambda report: measure(report, given.count, given.processes))
