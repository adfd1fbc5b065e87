"""Compare the driver on Trio with psycopg's own connection on asyncio, on the same server, in the same run.

The two take turns, round by round, so that whatever else the machine does hits both; medians are compared.

    python benchmarks/driver.py [--database-url URL] [--rounds 7]
"""

import argparse
import asyncio  # noqa: TID251 - what is compared with
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from typing import Any

import psycopg
import trio
from rich.console import Console
from rich.table import Table

from rolebook.runtime.postgres import Connection, choose_database, open_database

AIM = 1.1

Work = Callable[[psycopg.AsyncConnection[Any]], Awaitable[int]]
Figures = dict[str, float]


async def round_trips(connection: psycopg.AsyncConnection[Any]) -> int:
    for n in range(1000):
        cursor = await connection.execute("SELECT %s::int", [n], prepare=True)
        assert await cursor.fetchone() == (n,)
    return 1000


async def transactions(connection: psycopg.AsyncConnection[Any]) -> int:
    for n in range(200):
        async with connection.transaction():
            await connection.execute("SELECT %s::int", [n], prepare=True)
    return 200


async def pipelined(connection: psycopg.AsyncConnection[Any]) -> int:
    for _ in range(50):
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::int", [n], prepare=True) for n in range(100)]
        assert await cursors[99].fetchone() == (99,)
    return 5000


async def many_parameters(connection: psycopg.AsyncConnection[Any]) -> int:
    await connection.cursor().executemany("SELECT %s::int", [(n,) for n in range(2000)])
    return 2000


async def copied_rows(connection: psycopg.AsyncConnection[Any]) -> int:
    async with connection.cursor().copy("COPY (SELECT generate_series(1, 20000)) TO STDOUT") as copy:
        async for _ in copy.rows():
            pass
    return 20000


WORK: dict[str, Work] = {
    "round trip": round_trips,
    "transaction (3 round trips)": transactions,
    "statement in a pipeline of 100": pipelined,
    "row of executemany": many_parameters,
    "row of COPY to the client": copied_rows,
}


async def measure(connection: psycopg.AsyncConnection[Any], work: Work) -> float:
    """Run the work once; microseconds for each unit of it."""
    start = perf_counter()
    units = await work(connection)
    return (perf_counter() - start) / units * 1e6


async def measure_all(connection: psycopg.AsyncConnection[Any]) -> Figures:
    try:
        await round_trips(connection)  # warm: caches, prepared statements
        return {name: await measure(connection, work) for name, work in WORK.items()}
    finally:
        await connection.close()


async def on_trio(url: str) -> Figures:
    return await measure_all(await Connection.connect(url, autocommit=True))


async def on_asyncio(url: str) -> Figures:
    return await measure_all(await psycopg.AsyncConnection.connect(url, autocommit=True))


def compare(url: str, rounds: int) -> dict[str, tuple[float, float]]:
    """Medians of all rounds for each kind of work: on Trio, on asyncio."""
    ours: list[Figures] = []
    theirs: list[Figures] = []
    for n in range(rounds):
        if n % 2:
            ours.append(trio.run(on_trio, url))
        theirs.append(asyncio.run(on_asyncio(url)))
        if not n % 2:
            ours.append(trio.run(on_trio, url))
    return {name: (median(f[name] for f in ours), median(f[name] for f in theirs)) for name in WORK}


def show(figures: dict[str, tuple[float, float]], rounds: int) -> None:
    table = Table(title=f"psycopg {psycopg.__version__}, medians of {rounds} interleaved rounds")
    for heading in ("one", "Trio, µs", "asyncio, µs", "ratio", f"aim ≤ {AIM}"):
        table.add_column(heading, justify="left" if heading == "one" else "right")
    for name, (ours, theirs) in figures.items():
        ratio = ours / theirs
        met = "yes" if ratio <= AIM else "[red]no[/red]"
        table.add_row(name, f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.2f}", met)
    Console().print(table)


async def with_database(url: str | None, run: Callable[[str], None]) -> None:
    async with open_database(choose_database(url)) as found:
        # In a thread of its own: each round starts an event loop.
        await trio.to_thread.run_sync(run, found)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the driver on Trio with psycopg on asyncio.")
    parser.add_argument("--database-url", help="the server; by default DATABASE_URL or the embedded one")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    def run(url: str) -> None:
        show(compare(url, arguments.rounds), arguments.rounds)

    trio.run(with_database, arguments.database_url, run)


if __name__ == "__main__":
    main()
