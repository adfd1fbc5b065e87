"""The parts of a commit: what each kind does when its transaction commits, and whom it wakes."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from attrs import asdict, evolve

from ..contract import (
    Bury,
    CommitPart,
    CopyOutcome,
    DeadLetter,
    KeepSnapshot,
    MessagePart,
    RetryAsNew,
    RetryInPlace,
    SendLater,
    StoreFirstOutcome,
    StoreOutcome,
    due_of,
)
from ._mailbox import Stored
from ._tables import Buried, Tables, moment


def perform(tables: Tables, part: CommitPart) -> None:  # noqa: C901 - one case for each kind
    """Do what a part says. What it names is there: that was checked."""
    match part:
        case SendLater():
            _schedule(tables, part)
        case RetryInPlace():
            not_before = float("inf") if part.delay is None else tables.time.now() + part.delay
            tables.mailbox.add(evolve(_take_tried(tables, part), not_before=not_before))
        case RetryAsNew():
            message = evolve(_take_tried(tables, part), not_before=0.0)
            wait_until(tables, tables.time.now() + part.delay, message)
        case Bury():
            _bury(tables, part)
        case KeepSnapshot():
            tables.journal.keep(part)
        case StoreOutcome():
            tables.outcomes.setdefault(part.id, (part.outcome, tables.time.now() + part.retention))
        case StoreFirstOutcome():
            if part.outcome is not None:
                tables.outcomes[part.id] = (part.outcome, tables.time.now() + part.retention)
        case CopyOutcome():
            if (kept := tables.outcomes.get(part.of)) is not None:
                tables.outcomes.setdefault(part.id, (kept[0], tables.time.now() + part.retention))
        case _:
            assert_never(part)


def hints(parts: Sequence[CommitPart], now: float) -> Iterator[str]:
    """Say whom the parts of a commit wake: the scheduler, and those who wait for a reply."""
    if later := [due_of(part, now) for part in parts if isinstance(part, SendLater | RetryAsNew)]:
        yield f"@{min(later)}"
    for part in parts:
        if isinstance(part, StoreOutcome | CopyOutcome):
            yield f"!{part.asker}"


def columns(part: CommitPart) -> dict[str, Any]:
    """Return what a part would store, by the names of columns."""
    return part.send._asdict() if isinstance(part, SendLater) else asdict(part, recurse=False)


def wait_until(tables: Tables, due_at: float, message: Stored) -> None:
    """Put a message aside until its time."""
    heapq.heappush(tables.scheduled, (due_at, message.id, message))


def _schedule(tables: Tables, part: SendLater) -> None:
    now = tables.time.now()
    wait_until(
        tables, due_of(part, now), Stored(next(tables.message_ids), 0, **part.send._asdict(), sent_at=now)
    )


def _take_tried(tables: Tables, part: MessagePart) -> Stored:
    return evolve(tables.mailbox.take(part.place), attempts=part.attempts, last_error=part.error)


def _bury(tables: Tables, part: Bury) -> None:
    message = _take_tried(tables, part)
    number = next(tables.letter_ids)
    letter = DeadLetter(
        id=number,
        message_id=message.id,
        queue=message.queue,
        key=message.key,
        type=message.type,
        version=message.version,
        payload=message.payload,
        headers=message.headers,
        attempts=message.attempts,
        error=part.error,
        sent_at=moment(message.sent_at),
        died_at=moment(tables.time.now()),
    )
    tables.dead[number] = Buried(message, letter)
