"""A batch of finished turns as the parameters of `commit_batch`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from .._finished import Finished
from .._rows import EventRow, Rare, SendRow
from ._arrays import nullable_texts, numbers, texts

Parameters = tuple[Any, ...]
_T = TypeVar("_T")


def batch_parameters(turns: Sequence[Finished], rings: Sequence[str]) -> Parameters:
    """Return the parameters that follow writer, batch and forget."""
    fences = {turn.fence for turn in turns if turn.fence is not None}
    gone = [turn.consumed for turn in turns if turn.consumed is not None]
    events = [event for turn in turns for event in turn.events]
    sends = [send for turn in turns for send in turn.sends]
    rare = [part for turn in turns for part in turn.rare]
    return (
        *_fence_columns(sorted(fences)),
        *(
            (
                texts([m.queue for m in gone]),
                numbers([m.priority for m in gone]),
                numbers([m.tx for m in gone]),
                numbers([m.id for m in gone]),
            )
            if gone
            else (None,) * 4
        ),
        *event_columns(events),
        *send_columns(sends),
        rare_document(rare),
        texts(rings) if rings else None,
    )


def _fence_columns(fences: Sequence[tuple[str, int, int]]) -> Parameters:
    if not fences:
        return (None,) * 3
    queues, partitions, epochs = zip(*fences, strict=True)
    return texts(queues), numbers(partitions), numbers(epochs)


def event_columns(events: Sequence[EventRow]) -> Parameters:
    """Return the events' columns, or nulls when there are none."""
    if not events:
        return (None,) * 7
    actors, keys, seqs, types, versions, payloads, metadata = zip(*events, strict=True)
    return (
        texts(actors),
        texts(keys),
        numbers(seqs),
        texts(types),
        numbers(versions),
        texts(payloads),
        texts(metadata),
    )


def send_columns(sends: Sequence[SendRow]) -> Parameters:
    """Return the sent messages' columns, or nulls when there are none."""
    if not sends:
        return (None,) * 8
    queues, partitions, priorities, keys, types, versions, payloads, headers = zip(*sends, strict=True)
    return (
        texts(_shared(queues)),
        numbers(partitions),
        numbers(_shared(priorities)),
        nullable_texts(keys),
        texts(_shared(types)),
        numbers(_shared(versions)),
        texts(payloads),
        nullable_texts(headers),
    )


def _shared(column: tuple[_T, ...]) -> tuple[_T, ...]:
    """Return a column, or its first value if all rows share it: the server reads a long array slowly."""
    return column[:1] if column.count(column[0]) == len(column) else column


def rare_document(parts: Sequence[Rare]) -> str | None:
    """Return the rare parts as one JSON document, by kind; None when there are none.

    Fields that are JSON already go into it as texts.
    """
    if not parts:
        return None
    document: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        document.setdefault(part.kind, []).append(part.row)
    return msgspec.json.encode(document).decode()
