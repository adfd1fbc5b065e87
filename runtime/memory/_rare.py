"""The parts that most turns lack: what each kind does when its transaction commits."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from attrs import evolve

from .._rows import Rare
from .._store import DeadLetter
from ._mailbox import Stored
from ._tables import Buried, Tables, moment, place_of


def wait_until(tables: Tables, due_at: float, message: Stored) -> None:
    """Put a message aside until its time."""
    heapq.heappush(tables.scheduled, (due_at, message.id, message))


def _schedule(tables: Tables, part: Rare) -> None:
    row, now = part.row, tables.time.now()
    at: str | None = row.get("at")
    due_at = now + row["delay"] if at is None else datetime.fromisoformat(at).timestamp()
    names = ("queue", "partition", "priority", "key", "type", "version", "payload", "headers")
    columns = {name: row[name] for name in names}
    wait_until(tables, due_at, Stored(next(tables.message_ids), 0, **columns, sent_at=now))


def _retry(tables: Tables, part: Rare) -> None:
    """It keeps its place at the head of its key."""
    message = tables.mailbox.take(place_of(part))
    delay: float | None = part.row["delay"]
    not_before = float("inf") if delay is None else tables.time.now() + delay
    tables.mailbox.add(evolve(_tried(message, part.row), not_before=not_before))


def _retry_later(tables: Tables, part: Rare) -> None:
    """It lets the others pass, and comes back as a new arrival."""
    message = _tried(tables.mailbox.take(place_of(part)), part.row)
    wait_until(tables, tables.time.now() + part.row["delay"], evolve(message, not_before=0.0))


def _bury(tables: Tables, part: Rare) -> None:
    message = _tried(tables.mailbox.take(place_of(part)), part.row)
    number = next(tables.letter_ids)
    letter = DeadLetter(
        number,
        message.id,
        message.queue,
        message.key,
        message.type,
        message.version,
        message.payload,
        message.headers,
        message.attempts,
        part.row["error"],
        moment(message.sent_at),
        moment(tables.time.now()),
    )
    tables.dead[number] = Buried(message, letter)


def _tried(message: Stored, row: Mapping[str, Any]) -> Stored:
    return evolve(message, attempts=row["attempts"], last_error=row["error"])


def _keep_snapshot(tables: Tables, part: Rare) -> None:
    tables.journal.keep(part.row)


def _store_outcome(tables: Tables, part: Rare) -> None:
    tables.outcomes.setdefault(part.row["id"], _outcome(tables, part))


def _store_first(tables: Tables, part: Rare) -> None:
    if part.row["outcome"] is not None:
        tables.outcomes[part.row["id"]] = _outcome(tables, part)


def _outcome(tables: Tables, part: Rare) -> tuple[str, float]:
    return part.row["outcome"], tables.time.now() + part.row["retention"]


def _copy_outcome(tables: Tables, part: Rare) -> None:
    row = part.row
    if (kept := tables.outcomes.get(row["of"])) is not None:
        tables.outcomes.setdefault(row["id"], (kept[0], tables.time.now() + row["retention"]))


EFFECTS: Final[Mapping[str, Callable[[Tables, Rare], None]]] = {
    "scheduled": _schedule,
    "retries": _retry,
    "later": _retry_later,
    "dead": _bury,
    "snapshots": _keep_snapshot,
    "outcomes": _store_outcome,
    "once": _store_first,
    "copies": _copy_outcome,
}

NAMES_A_MESSAGE: Final = frozenset({"retries", "later", "dead"})


def hints(parts: Sequence[Rare]) -> Iterator[str]:
    """Say whom the parts of a commit wake: the scheduler, and those who wait for a reply."""
    for part in parts:
        if part.kind in ("scheduled", "later"):
            yield "@"
        elif part.kind in ("outcomes", "copies") and part.row.get("asker") is not None:
            yield f"!{part.row['asker']}"
