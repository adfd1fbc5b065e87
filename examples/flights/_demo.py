"""The demo from beginning to end: load, wait, show, check."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import trio
from attrs import define, frozen
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

import rolebook as rb
from rolebook.runtime.postgres import choose_database, connect_session, open_database

from ._actors import Aircraft, Airline
from ._app import app
from ._checking import Expected, add_up, differences
from ._file import airline_names, read_months
from ._loading import Loader
from ._report import LONGEST_DELAYS, show_aircraft, show_airlines, show_delays
from ._starting_over import start_over
from ._tables import CREATE, read_progress

S = TypeVar("S")

SHOWN = 20
"""Mismatches that are shown; the rest are counted."""


@frozen
class Options:
    """What the command line says.

    Attributes:
        months: Which months are to be loaded.
        fresh: Whether to throw away what an earlier run stored.
        database_url: A server of the user's own; None for `DATABASE_URL` or the embedded one.
        data_folder: Where the embedded server keeps its data.
        file: Another file of flights.
        limit: At most so many flights of each month.
    """

    months: tuple[int, ...] = (1,)
    fresh: bool = False
    database_url: str | None = None
    data_folder: Path | None = None
    file: Path | None = None
    limit: int | None = None


async def demo(options: Options, console: Console) -> int:
    """Run the demo; returns the exit code: 1 if a total is not what the file says."""
    choice = choose_database(options.database_url)
    console.print(Text(str(choice), style="dim"))
    async with open_database(choice, folder=options.data_folder, database=app.name) as url:
        if options.fresh:
            await start_over(url)
        await _make_tables(url)
        async with rb.open_runtime(app, database=url) as runtime:
            return await Demo(options, console, runtime).run()


async def _make_tables(url: str) -> None:
    async with await connect_session(url, role="setup", process=app.name) as connection:
        await connection.execute(CREATE)


@define(eq=False)
class Demo:
    """One run on an open runtime."""

    options: Options
    console: Console
    runtime: rb.Runtime

    async def run(self) -> int:
        """Load what is missing, then show and check everything."""
        loader = await self._loader()
        await loader.look()
        if loader.finished:
            self.console.print(f"All {loader.total:,} flights were handled before; checking them again.")
        else:
            await self._load(loader)
        # Long delays have a queue of their own, which may be the last to end.
        await self.runtime.wait_idle()
        return await self._conclude(loader.sent)

    async def _loader(self) -> Loader:
        async with self.runtime.connection() as connection:
            sent = await read_progress(connection)
        rows = await _in_thread(partial(read_months, self.options.months, self.options.file))
        if self.options.limit is not None:
            rows = {month: flights[: self.options.limit] for month, flights in rows.items()}
        return Loader(self.runtime, rows, sent)

    async def _load(self, loader: Loader) -> None:
        before, began = loader.handled, perf_counter()
        if before or loader.waiting:
            self.console.print(f"Going on: {before:,} of {loader.total:,} flights were handled before.")
        with _progress(self.console) as progress:
            task = progress.add_task("flights", total=loader.total, completed=before)
            await loader.run(lambda: progress.update(task, completed=loader.handled))
        seconds = perf_counter() - began
        done = self.runtime.statistics()
        self.console.print(
            f"{loader.handled - before:,} flights in {seconds:.1f} s:"
            f" [bold]{(loader.handled - before) / seconds:,.0f} flights/s[/],"
            f" {done.turns / seconds:,.0f} turns/s, {done.events / seconds:,.0f} events/s"
            f" ({done.turns / max(1, done.commits):,.0f} turns a commit)\n"
        )

    async def _conclude(self, sent: Mapping[int, int]) -> int:
        began = perf_counter()
        with self.console.status("Reading every actor from its journal, and the file again"):
            aircraft = await self._states(Aircraft)
            airlines = await self._states(Airline)
            async with self.runtime.connection() as connection:
                delays = await (await connection.execute(LONGEST_DELAYS)).fetchall()
            expected = await _in_thread(partial(add_up, sent, self.options.file))
        show_aircraft(self.console, aircraft)
        show_airlines(self.console, airlines, airline_names())
        show_delays(self.console, delays)
        wrong = [
            *differences("aircraft", aircraft, expected.aircraft),
            *differences("airline", airlines, expected.airlines),
        ]
        noted = delays[0][-1] if delays else 0
        if noted != expected.long_delays:
            wrong.append(f"long delays: {noted:,} are written down, the file has {expected.long_delays:,}")
        letters = await self.runtime.dead_letters()
        wrong += [f"dead letter {letter.id} of {letter.queue}: {letter.error}" for letter in letters]
        return self._verdict(wrong, expected, perf_counter() - began)

    async def _states(self, actor: type[S]) -> dict[str, S]:
        keys = [key async for key in self.runtime.keys(actor)]
        return await self.runtime.read_many(actor, keys)

    def _verdict(self, wrong: list[str], expected: Expected, seconds: float) -> int:
        for line in wrong[:SHOWN]:
            self.console.print(f"[red]wrong[/] {line}")
        if wrong:
            self.console.print(f"[bold red]{len(wrong):,} totals are not what the file says.[/]")
            return 1
        self.console.print(
            f"\n[bold green]Checked[/] in {seconds:.1f} s: every total of"
            f" {len(expected.aircraft):,} aircraft and {len(expected.airlines)} airlines"
            f" is what the file says, over {expected.flights:,} flights;"
            f" {expected.without_aircraft:,} of them had no aircraft and were told to their airline."
        )
        return 0


async def _in_thread(read: Callable[[], S]) -> S:
    """Read the file beside the event loop; what only reads may be left behind when we are interrupted."""
    return await trio.to_thread.run_sync(read, abandon_on_cancel=True)


class _Rate(ProgressColumn):
    """Flights a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
    )
