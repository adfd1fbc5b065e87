"""The parts of a commit that most turns lack: one class for each kind.

Each store performs them in one place, with a `match` that a type checker holds to be complete: a
kind that was forgotten there is an error before anything runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias, final

from attrs import frozen

from ._rows import Place, SendRow


@final
@frozen
class SendLater:
    """A message for a later time.

    Attributes:
        send: What is sent.
        delay: Not before so many seconds after the commit, on the store's clock.
        at: Not before this moment, an ISO date with its zone; it goes before `delay`.
    """

    send: SendRow
    delay: float | None
    at: str | None


@final
@frozen
class RetryInPlace:
    """A message that failed, or was parked, and keeps its place at the head of its key.

    Attributes:
        place: Which message.
        attempts: How often it was tried by now.
        error: What the last attempt raised.
        delay: Seconds until the next attempt, on the store's clock; None: when it is resumed.
    """

    place: Place
    attempts: int
    error: str
    delay: float | None


@final
@frozen
class RetryAsNew:
    """A message that failed, lets the others of its key pass, and comes back as a new arrival."""

    place: Place
    attempts: int
    error: str
    delay: float


@final
@frozen
class Bury:
    """A message that becomes a dead letter."""

    place: Place
    attempts: int
    error: str


@final
@frozen
class KeepSnapshot:
    """A cached state.

    Attributes:
        seq: The event up to which it is the fold.
        keep: How many snapshots of the actor to keep, this one included.
    """

    actor: str
    key: str
    seq: int
    state_version: int
    state: str
    keep: int


@final
@frozen
class StoreOutcome:
    """The answer to an ask of another process; the first one counts.

    Attributes:
        id: The ask's.
        asker: The process that waits for it.
        outcome: See `_outcomes`.
        retention: Seconds it is kept.
    """

    id: str
    asker: str
    outcome: str
    retention: float


@final
@frozen
class StoreFirstOutcome:
    """The first outcome of an idempotency key; if it has one already, the commit is refused.

    Attributes:
        id: The key's, with its actor.
        outcome: None for a failure: that is no outcome, but is refused all the same if there is one.
        retention: Seconds it is kept.
    """

    id: str
    outcome: str | None
    retention: float


@final
@frozen
class CopyOutcome:
    """The answer to a repeated ask of another process: the first outcome of its idempotency key.

    Attributes:
        id: The ask's.
        asker: The process that waits for it.
        of: The idempotency key's, with its actor.
        retention: Seconds it is kept.
    """

    id: str
    asker: str
    of: str
    retention: float


MessagePart: TypeAlias = RetryInPlace | RetryAsNew | Bury
"""What names a message of the mailbox, which must be there."""

CommitPart: TypeAlias = (
    SendLater | MessagePart | KeepSnapshot | StoreOutcome | StoreFirstOutcome | CopyOutcome
)


def text_of_part(part: CommitPart) -> str:
    """Return the text that is stored with a part, if there is one of any size."""
    match part:
        case SendLater():
            return part.send.payload
        case RetryInPlace() | RetryAsNew() | Bury():
            return part.error
        case KeepSnapshot():
            return part.state
        case StoreOutcome() | StoreFirstOutcome():
            return part.outcome or ""
        case CopyOutcome():
            return ""


def due_of(part: SendLater | RetryAsNew, now: float) -> float:
    """Return when a message is due that is committed now, both in seconds since the epoch."""
    if isinstance(part, SendLater) and part.at is not None:
        return datetime.fromisoformat(part.at).timestamp()
    return now + (part.delay or 0.0)
