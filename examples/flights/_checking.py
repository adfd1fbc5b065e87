"""The check: every total again, straight from the file, with nothing of the actors in it."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs
from attrs import define, field

from ._actors import LATE, VERY_LATE, Aircraft, Airline
from ._file import DataError, open_lines

Totals = dict[str, int]


def _no_totals() -> defaultdict[str, Totals]:
    return defaultdict(lambda: defaultdict(int))


@define(eq=False)
class Expected:
    """What the totals should be: by tail number, by airline, and the number of long delays."""

    aircraft: defaultdict[str, Totals] = field(factory=_no_totals)
    airlines: defaultdict[str, Totals] = field(factory=_no_totals)
    long_delays: int = 0
    flights: int = 0
    without_aircraft: int = 0


def add_up(sent: Mapping[int, int], file: Path | None = None) -> Expected:
    """Add up the first so many flights of each month.

    Raises:
        DataError: The file has fewer flights than were loaded.
    """
    left = dict(sent)
    expected = Expected()
    with open_lines(file) as lines:
        for line in csv.DictReader(lines):
            month = int(line["month"])
            if left.get(month, 0) > 0:
                left[month] -= 1
                _add(expected, line)
    if missing := sum(left.values()):
        raise DataError(
            f"{missing:,} flights more were loaded than the file has: they came from another file."
            " Start over with --fresh."
        )
    return expected


def _add(expected: Expected, line: Mapping[str, str]) -> None:
    left, arrived = line["dep_delay"] not in ("", "NA"), line["arr_delay"] not in ("", "NA")
    known = line["tailnum"] not in ("", "NA")
    airline = expected.airlines[line["carrier"]]
    parties = [airline]
    if known:
        parties.append(expected.aircraft[line["tailnum"]])
        parties[1]["departed"] += left
        if left and int(line["dep_delay"]) > VERY_LATE:
            expected.long_delays += 1
    else:
        airline["without_aircraft"] += 1
        expected.without_aircraft += 1
    expected.flights += 1
    for totals in parties:
        totals["flights"] += 1
        totals["cancelled"] += not left
        totals["diverted"] += left and not arrived
        totals["arrived"] += arrived
        totals["departure_delay"] += int(line["dep_delay"]) if left else 0
        if arrived:
            totals["arrival_delay"] += int(line["arr_delay"])
            totals["late"] += int(line["arr_delay"]) > LATE
            totals["minutes"] += int(line["air_time"])
            totals["distance"] += int(line["distance"])


def differences(
    kind: str, states: Mapping[str, Aircraft] | Mapping[str, Airline], expected: Mapping[str, Totals]
) -> Iterable[str]:
    """Name every total that is not what it should be."""
    for key in sorted({*states, *expected}):
        state = attrs.asdict(states[key]) if key in states else {}
        for name in sorted({*state, *expected.get(key, {})}):
            is_, should = state.get(name, 0), expected.get(key, {}).get(name, 0)
            if is_ != should:
                yield f"{kind} {key}: {name} is {is_:,}, the file says {should:,}"
