"""What the reader sees at the end: the busiest aircraft, the airlines, the delays."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ._actors import Aircraft, Airline

MOST = 10
"""Lines in a table of the best or worst."""

BUSIEST = "The busiest aircraft (late: over 15 minutes on arrival; delay: on average)"

MOST_LETTERS = 17
"""Of an airline's name, so that its table fits 80 columns."""

LONGEST_DELAYS = """
select minutes, carrier, number, origin, destination, scheduled, aircraft, count(*) over ()
from flights.long_delays order by minutes desc, scheduled limit 5
"""


def show_aircraft(console: Console, aircraft: Mapping[str, Aircraft]) -> None:
    """Show the aircraft with the most flights."""
    table = _table(BUSIEST, "aircraft", "flights", "miles", "hours", "stayed", "late", "delay")
    busiest = sorted(aircraft.items(), key=lambda item: (-item[1].flights, item[0]))
    for key, state in busiest[:MOST]:
        table.add_row(
            key,
            f"{state.flights:,}",
            f"{state.distance:,}",
            f"{state.minutes / 60:,.0f}",
            f"{state.cancelled:,}",
            _share(state.late, state.arrived),
            _average(state.arrival_delay, state.arrived),
        )
    console.print()
    console.print(table)


def show_airlines(console: Console, airlines: Mapping[str, Airline], names: Mapping[str, str]) -> None:
    """Show every airline, the largest first.

    "stayed" counts what was cancelled; "nameless", those of them for which the file names no aircraft.
    """
    table = _table(
        "The airlines", "airline", "flights", "miles", "stayed", "nameless", "diverted", "late", "delay"
    )
    for key, state in sorted(airlines.items(), key=lambda item: (-item[1].flights, item[0])):
        table.add_row(
            names.get(key, key)[:MOST_LETTERS],
            f"{state.flights:,}",
            f"{state.distance / 1e6:,.2f} M",
            f"{state.cancelled:,}",
            f"{state.without_aircraft:,}",
            f"{state.diverted:,}",
            _share(state.late, state.arrived),
            _average(state.arrival_delay, state.arrived),
        )
    console.print()
    console.print(table)


def show_delays(console: Console, rows: Sequence[tuple[Any, ...]]) -> None:
    """Show the longest delays, from the table that the queue's handler filled."""
    if not rows:
        return
    table = _table(
        f"The longest of {rows[0][-1]:,} delays over three hours", "flight", "from", "to", "left late"
    )
    table.add_column("scheduled")
    table.add_column("aircraft")
    for minutes, carrier, number, origin, destination, scheduled, aircraft, _ in rows:
        late = f"{minutes // 60} h {minutes % 60:02} min"
        table.add_row(f"{carrier} {number}", origin, destination, late, f"{scheduled:%d %b %H:%M}", aircraft)
    console.print()
    console.print(table)


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False, box=None)
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _average(total: int, count: int) -> str:
    return f"{total / count:+.0f} min" if count else "-"
