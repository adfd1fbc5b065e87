"""A batch of commit units as the parameters of `commit_batch`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, assert_never

import msgspec

from ..contract import (
    Base,
    Bury,
    CommitPart,
    CommitUnit,
    CopyOutcome,
    EventRow,
    Fence,
    KeepSnapshot,
    MessagePart,
    RetryAsNew,
    RetryInPlace,
    Ring,
    SendLater,
    SendRow,
    StoreFirstOutcome,
    StoreOutcome,
    bases,
)
from ._arrays import nullable_texts, numbers, texts

Parameters = tuple[Any, ...]
_T = TypeVar("_T")


def batch_parameters(units: Sequence[CommitUnit], rings: Sequence[Ring], nonce: int | None) -> Parameters:
    """Return the parameters that follow writer, batch and forget."""
    fences = {unit.fence for unit in units if unit.fence is not None}
    gone = [unit.consumed for unit in units if unit.consumed is not None]
    events = [event for unit in units for event in unit.events]
    sends = [send for unit in units for send in unit.sends]
    parts = [part for unit in units for part in unit.parts]
    return (
        None if nonce is None else str(nonce),
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
        *_base_columns(bases(units) if events else ()),
        *send_columns(sends),
        parts_document(parts),
        *ring_columns(rings),
    )


def ring_columns(rings: Sequence[Ring]) -> Parameters:
    """Return whose owners are woken, as columns, or nulls when there are none."""
    if not rings:
        return (None, None)
    queues, partitions = zip(*rings, strict=True)
    return texts(queues), numbers(partitions)


def _fence_columns(fences: Sequence[Fence]) -> Parameters:
    if not fences:
        return (None,) * 3
    queues, partitions, epochs, _ = zip(*fences, strict=True)
    return texts(queues), numbers(partitions), numbers(epochs)


def _base_columns(found: Sequence[Base]) -> Parameters:
    """Return what actors that were just loaded are built on; most batches have none."""
    if not found:
        return (None,) * 3
    actors, keys, seqs = zip(*found, strict=True)
    return texts(actors), texts(keys), numbers(seqs)


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


def parts_document(parts: Sequence[CommitPart]) -> str | None:
    """Return the parts as one JSON document, by section of `commit_rare`; None when there are none.

    Fields that are JSON already go into it as texts.
    """
    if not parts:
        return None
    document: dict[str, list[object]] = {}
    for part in parts:
        section, row = _section(part)
        document.setdefault(section, []).append(row)
    return msgspec.json.encode(document).decode()


def _section(part: CommitPart) -> tuple[str, object]:  # noqa: PLR0911 - one case for each kind
    """Return which section of `commit_rare` performs a part, and its row there."""
    match part:
        case SendLater():
            return "scheduled", {**part.send._asdict(), "delay": part.delay, "at": part.at}
        case RetryInPlace():
            return "retries", {**_tried(part), "delay": part.delay}
        case RetryAsNew():
            return "later", {**_tried(part), "delay": part.delay}
        case Bury():
            return "dead", _tried(part)
        case KeepSnapshot():
            return "snapshots", part
        case StoreOutcome():
            return "outcomes", part
        case StoreFirstOutcome():
            return "once", part
        case CopyOutcome():
            return "copies", part
        case _:
            assert_never(part)


def _tried(part: MessagePart) -> dict[str, Any]:
    place = part.place
    # An xid8 is beyond what a JSON number is sure to hold.
    named = {"queue": place.queue, "priority": place.priority, "tx": str(place.tx), "id": place.id}
    return {**named, "attempts": part.attempts, "error": part.error}
