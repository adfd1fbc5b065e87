"""Loading journals: what goes into the statements, and what is made of their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..contract import StoredSnapshot, Stream
from ._arrays import texts

ALL_LARGE: Final[list[tuple[Any, ...]]] = [(0, None, None, "large")]
"""What comes of `load_streams` if some of what is wanted may be large."""

_SMALL_EVENT: Final = 1_600
_SMALL_SNAPSHOT: Final = 16_000
"""Bytes that have no entry in the indexes `events_large` and `snapshots_large`."""


def small_rows(streams: int, most_bytes: int) -> int:
    """Return how many small events each of some streams may have, with a small snapshot.

    Below 1 there is no room for any.
    """
    return (most_bytes // streams - _SMALL_SNAPSHOT) // _SMALL_EVENT


def stream_columns(after: Mapping[str, int | None]) -> tuple[str, str]:
    """Return the parameters that say what is wanted: keys, and after which numbers."""
    return texts(list(after)), "{" + ",".join(
        "NULL" if seq is None else str(seq) for seq in after.values()
    ) + "}"


def streams_of(rows: Sequence[Any]) -> dict[str, Stream]:
    """Make streams of the rows of `load_streams` or `load_large_streams`."""
    heads = [index for index, row in enumerate(rows) if row[2] is None]
    # The last row of all says by its missing payload that there was no room for it.
    is_cut = rows[-1][2] is not None and rows[-1][3] is None
    streams: dict[str, Stream] = {}
    for head, end in zip(heads, [*heads[1:], len(rows)], strict=True):
        newest, key, _, _ = rows[head]
        start, stop, snapshot = head + 1, end, None
        cut = is_cut and end == len(rows)
        if cut:
            stop -= 1
            if rows[stop][1] is None:
                break  # a snapshot: without it there is nothing to start from
        if start < stop and rows[start][1] is None:
            seq, _, version, state = rows[start]
            start, snapshot = start + 1, StoredSnapshot(seq, version, state)
        streams[key] = Stream(newest, snapshot, rows[start:stop], cut)
    return streams
