"""The commit parts that carry a reply, or an error in its place, to who asked."""

from __future__ import annotations

from rolebook.actors import Codec, Rejected

from ..contract import (
    ONCE,
    CopyOutcome,
    Message,
    StoreFirstOutcome,
    StoreOutcome,
    asked,
    error_outcome,
    once_id,
    parse,
    reply_outcome,
)
from ..system import LocalAsk

RETENTION = 3600.0
"""Seconds a reply is kept for an asker that does not come back for it."""


def reply_part(ask: str, asker: str, payload: str) -> StoreOutcome:
    """Return the part that stores a reply."""
    return StoreOutcome(ask, asker, reply_outcome(payload), RETENTION)


def error_part(codec: Codec, ask: str, asker: str, error: BaseException) -> StoreOutcome:
    """Return the part that stores a refusal or a failure."""
    return StoreOutcome(ask, asker, error_outcome(codec, error), RETENTION)


def first_reply_part(once: str, payload: str, retention: float) -> StoreFirstOutcome:
    """Return the part that stores the first outcome of an idempotency key, and refuses a second one."""
    return StoreFirstOutcome(once, reply_outcome(payload), retention)


def first_error_part(codec: Codec, once: str, error: BaseException, retention: float) -> StoreFirstOutcome:
    """Return the part that stores a refusal as the first outcome; a failure is no outcome."""
    outcome = error_outcome(codec, error) if isinstance(error, Rejected) else None
    return StoreFirstOutcome(once, outcome, retention)


def copy_part(ask: str, asker: str, once: str) -> CopyOutcome:
    """Return the part that answers a repeated ask with the first outcome."""
    return CopyOutcome(ask, asker, once, RETENTION)


def remote_of(message: Message) -> tuple[str, str] | None:
    """Return the ask that a message carries from another process, and who asks; None if it carries none."""
    return None if message.headers is None else asked(parse(message.headers))


def once_of(actor: str, key: str, work: Message | LocalAsk) -> str | None:
    """Under which name the first outcome of some work is stored, if it has an idempotency key."""
    if work.headers is None or (once := parse(work.headers).get(ONCE)) is None:
        return None
    return once_id(actor, key, once)
