"""What the comparisons share: contenders in processes of their own, interleaved rounds, a table, a file.

A contender's work is a function of a module: it gets the URL of an empty database and some arguments, and
returns figures. Each round runs every contender once, in a process and a database of its own, so that
whatever else the machine does hits all of them; the medians of the rounds are compared.
"""

import argparse
import functools
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import trio
from attrs import define, field, frozen
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rich.console import Console
from rich.table import Table

from rolebook.runtime.postgres import choose_database, open_database

Figures = dict[str, float]

LONGEST = 120
"""Seconds one contender may take in one round, unless it says otherwise."""


@frozen
class Contender:
    """One thing that is measured.

    Attributes:
        name: In the table.
        module: Holds the work.
        work: A function of the module.
        arguments: For the function, beside the URL.
        needs: The package without which it is left out.
        longest: Seconds it may take in one round.
    """

    name: str
    module: str
    work: str
    arguments: Mapping[str, Any] = field(factory=dict[str, Any])
    needs: str | None = None
    longest: float = LONGEST


@frozen
class Column:
    """One figure of the table: what the contenders call it, and how to write it."""

    heading: str
    figure: str
    form: str = "{:,.0f}"


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@define
class Stopwatch:
    """Wall and CPU time of this process since it was made."""

    _wall: float = field(factory=time.perf_counter)
    _cpu: float = field(factory=_cpu_seconds)

    def figures(self, count: int) -> Figures:
        """Return the rate of so many, and the CPU time of this process for each, in µs."""
        wall, cpu = time.perf_counter() - self._wall, _cpu_seconds() - self._cpu
        return {"rate": count / wall, "cpu": cpu / count * 1e6}


def percentiles(seconds: Sequence[float]) -> Figures:
    """Return the median and the 99th percentile, in ms."""
    ordered = sorted(seconds)
    return {
        "p50": median(ordered) * 1e3,
        "p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3,
    }


@contextmanager
def snapshot_held(url: str) -> Generator[None]:
    """Keep a transaction open that sees what is there now: no vacuum may remove what dies meanwhile."""
    with psycopg.connect(url) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select pg_current_snapshot()")
        yield


# ---- running ----


def database(admin_url: str) -> str:
    """Create an empty database beside the given one; return its URL."""
    name = f"rolebook_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    if admin_url.startswith(("postgresql://", "postgres://")):
        return _url_of(admin_url, name)
    return make_conninfo(admin_url, dbname=name)


def _url_of(admin_url: str, name: str) -> str:
    """A URL again, because SQLAlchemy reads no other form."""
    from urllib.parse import quote, urlencode

    parts = {key: str(value) for key, value in conninfo_to_dict(admin_url).items() if value is not None}
    parts.pop("dbname", None)
    user, password = parts.pop("user", "postgres"), parts.pop("password", None)
    login = quote(user, safe="") + ("" if password is None else ":" + quote(password, safe=""))
    return f"postgresql://{login}@/{name}?{urlencode(parts)}"


def drop(admin_url: str, url: str) -> None:
    """Drop a database that `database` made."""
    name = conninfo_to_dict(url)["dbname"]
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))


def run(contender: Contender, admin_url: str) -> Figures:
    """Run a contender once, in a process and a database of its own."""
    url = database(admin_url)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("checkpoint")  # nobody pays for what was written before
    try:
        return execute(contender, url)
    finally:
        drop(admin_url, url)


def execute(contender: Contender, url: str) -> Figures:
    """Run a contender once on a database, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks._contend", contender.module, contender.work, url],
        input=json.dumps(dict(contender.arguments)),
        capture_output=True,
        text=True,
        timeout=contender.longest,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{contender.name} failed:\n{done.stderr[-3000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def installed(contenders: Iterable[Contender]) -> list[Contender]:
    """Leave out those whose package is not there, and say so."""
    found: list[Contender] = []
    for contender in contenders:
        if contender.needs is None or importlib.util.find_spec(contender.needs) is not None:
            found.append(contender)
        else:
            print(f"left out: {contender.name}; `make bench` installs {contender.needs}")
    return found


def rounds(contenders: Iterable[Contender], admin_url: str, count: int) -> dict[str, list[Figures]]:
    """Run every contender once a round, each round in the other direction."""
    order = installed(contenders)
    taken: dict[str, list[Figures]] = {contender.name: [] for contender in order}
    for number in range(count):
        for contender in order if number % 2 == 0 else reversed(order):
            taken[contender.name].append(run(contender, admin_url))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return taken


def medians(taken: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: median(figures[name] for figures in taken) for name in taken[0]}


# ---- telling ----


def show(
    title: str, results: Mapping[str, Figures], columns: Sequence[Column], *, ratio: str | None = None
) -> None:
    """Print a table; with a ratio of one figure to that of the first line."""
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right")
    if ratio is not None:
        table.add_column("of the first", justify="right")
    first = next(iter(results.values()))
    for name, figures in results.items():
        cells = [
            column.form.format(figures[column.figure]) if column.figure in figures else ""
            for column in columns
        ]
        if ratio is not None:
            cells.append(f"{figures[ratio] / first[ratio]:.2f}" if ratio in figures else "")
        table.add_row(name, *cells)
    console = Console()
    console.width = max(console.width, 100)
    console.print(table)


@define
class Report:
    """What a program measured, for people and for programs.

    Attributes:
        name: Of the program.
        url: Of the server.
        rounds: How often each contender runs.
        file: Where the figures go as JSON; None for nowhere.
    """

    name: str
    url: str
    rounds: int
    file: Path | None
    _parts: dict[str, Any] = field(factory=dict[str, Any])

    def compare(
        self,
        title: str,
        contenders: Sequence[Contender],
        columns: Sequence[Column],
        *,
        ratio: str | None = None,
    ) -> dict[str, Figures]:
        """Measure some contenders beside each other, and print the table."""
        taken = rounds(contenders, self.url, self.rounds)
        results = {name: medians(each) for name, each in taken.items()}
        self.note(f"{title}: medians of {self.rounds} rounds", results, taken, columns, ratio=ratio)
        return results

    def note(
        self,
        title: str,
        results: Mapping[str, Figures],
        taken: Mapping[str, Sequence[Figures]],
        columns: Sequence[Column],
        *,
        ratio: str | None = None,
    ) -> None:
        """Keep figures for the file, and print them."""
        self._parts[title] = {"medians": results, "rounds": taken}
        show(title, results, columns, ratio=ratio)

    def write(self) -> None:
        """Write the file."""
        if self.file is not None:
            told = {"program": self.name, "machine": machine(self.url), "results": self._parts}
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps(told, indent=2) + "\n")
            print(f"figures written to {self.file}")


def machine(url: str) -> dict[str, Any]:
    """Describe what was measured on, in general terms."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit')"
        ).fetchone()
        assert row is not None
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "postgresql": row[0],
        "fsync": row[1],
        "synchronous_commit": row[2],
    }


def parser(about: str | None) -> argparse.ArgumentParser:
    """Return the arguments that every comparison has."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--database-url", help="a server to create databases on; by default the embedded one")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--json", type=Path, help="where to write the figures; by default .bench/NAME.json")
    return made


def main(name: str, given: argparse.Namespace, measure: Callable[[Report], None]) -> None:
    """Run a program on the chosen server, and write its file."""

    def work(url: str) -> None:
        report = Report(name, url, given.rounds, given.json or Path(".bench") / f"{name}.json")
        facts = machine(url)
        print(", ".join(f"{key} {value}" for key, value in facts.items()))
        measure(report)
        report.write()

    async def run_all() -> None:
        async with open_database(choose_database(given.database_url)) as url:
            await trio.to_thread.run_sync(work, url)

    trio.run(run_all)


def on_trio(function: Callable[..., Awaitable[Figures]]) -> Callable[..., Figures]:
    """Turn an async work into one that a contender's process can call."""

    @functools.wraps(function)
    def call(url: str, **arguments: Any) -> Figures:
        return trio.run(functools.partial(function, url, **arguments))

    return call
