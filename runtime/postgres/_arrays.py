"""Array literals.

psycopg dumps a list element by element in Python: 13 µs for a row of seven
columns where joining strings takes 1.3 µs (measured over 500 rows).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def numbers(values: Iterable[int]) -> str:
    """Return the literal of an array of numbers."""
    return "{" + ",".join(map(str, values)) + "}"


def texts(values: Sequence[str]) -> str:
    """Return the literal of an array of texts, none of them null."""
    if not values:
        return "{}"
    quoted = '","'.join([value.replace("\\", "\\\\").replace('"', '\\"') for value in values])
    return '{"' + quoted + '"}'


def nullable_texts(values: Sequence[str | None]) -> str:
    """The literal of an array of texts or nulls; an empty one, for `unnest` to fill, if all are null."""
    if values.count(None) == len(values):
        return "{}"
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
