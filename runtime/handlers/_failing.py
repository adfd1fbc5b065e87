"""How a failed turn is stored: as a retry in place, a retry as a new arrival, or a dead letter."""

from __future__ import annotations

import logging
from random import Random
from typing import Any, Literal

import trio

from rolebook.actors import Backoff, Dead, ProcessEnded, Refused, RetryAt, RolebookError

from ..contract import (
    Bury,
    CommitPart,
    CommitUnit,
    Lineage,
    Message,
    RetryAsNew,
    RetryInPlace,
    broken_error,
    line_of,
    report_of,
)

_log = logging.getLogger("rolebook.handler")


def after_failure(
    message: Message, outcome: Refused | Dead | RetryAt, on_failure: Literal["block", "skip", "park"]
) -> RetryInPlace | RetryAsNew | Bury | None:
    """Say in the log what becomes of a message whose turn failed, and return the part that stores it.

    Args:
        message: Which one.
        outcome: What was judged.
        on_failure: What a retry does to the line of its key.

    Returns:
        None for a refusal: the message is acknowledged, as after a success.
    """
    if isinstance(outcome, Refused):
        _log.info("%s refused: %s", name_of(message), outcome.rejection)
        return None
    error, delay = outcome.error, None if isinstance(outcome, Dead) else outcome.delay_seconds
    place, attempts, report = message.place, message.attempts + 1, report_of(error)
    is_news = message.refusals <= 1  # else it was told before, and that it is refused
    if delay is None and not (on_failure == "park" and isinstance(error, ProcessEnded)):
        # The traceback of user code is worth logging; our own errors say what to do.
        trace = None if isinstance(error, RolebookError) else error
        _keep(message, error)
        if is_news:
            _log.error("%s becomes a dead letter: %s", name_of(message), line_of(error), exc_info=trace)
        return Bury(place, attempts, report)
    if on_failure == "park":
        _log.warning("%s failed, parked until it is resumed: %s", name_of(message), line_of(error))
        return RetryInPlace(place, attempts, report, None)
    assert delay is not None
    if is_news:
        _log.warning("%s failed, retry in %.1f s: %s", name_of(message), delay, line_of(error))
    if on_failure == "skip":
        _keep(message, error)
        return RetryAsNew(place, attempts, report, delay)
    return RetryInPlace(place, attempts, report, delay)


def _keep(message: Message, error: BaseException) -> None:
    """Remember why a turn failed until that is stored; of one that is stored as it is, its message knows."""
    if not message.refusals and isinstance(error, Exception):
        message.failure = error


def unit_after(
    part: CommitPart | None, message: Message, origin: trio.MemorySendChannel[Any], lineage: Lineage | None
) -> CommitUnit:
    """Return the unit that stores a failure; a message that keeps its place is not settled with it."""
    unit = CommitUnit(origin, message.fence, lineage=lineage, parts=() if part is None else (part,))
    if not isinstance(part, RetryInPlace):
        unit.subject = message
        unit.consumed = message if part is None else None
    return unit


def refuse(message: Message, error: Exception, backoff: Backoff, random: Random) -> None:
    """Take note that the database refused what was to be stored of a message, and when it is tried again.

    At once, with the database's word as the outcome of its turn: a text may be what it does not take. If that
    is refused as well, it is not the text; then with what the turn failed with, after a pause that grows.
    """
    message.refusals += 1
    if message.refusals == 1:
        message.refusal = error
    else:
        message.refusal = message.failure or error
        message.wait = backoff.delay(message.refusals - 1, random)
    again = "at once" if message.wait is None else f"in {message.wait:.1f} s"
    said = (name_of(message), again, line_of(error))
    _log.error("what became of %s is refused, tried again %s: %s", *said)


def bury(message: Message, error: BaseException) -> Bury:
    """Say in the log that a message is a dead letter, and return the part that makes it one."""
    _log.error("%s is a dead letter: %s", name_of(message), line_of(error))
    return Bury(message.place, message.attempts + 1, report_of(error))


def wait_of(part: RetryInPlace) -> float:
    """Return how many seconds a message waits in its place; infinite until it is resumed."""
    return float("inf") if part.delay is None else part.delay


def mark_broken(message: Message, problem: BaseException) -> RetryInPlace:
    """Return the part that says at an actor's first message that it is broken; no attempt is counted."""
    return RetryInPlace(message.place, message.attempts, broken_error(problem), None)


def name_of(message: Message) -> str:
    """Return how the log names a message."""
    key = "" if message.key is None else f"/{message.key}"
    return f"message {message.id} ({message.type} to {message.queue}{key}, attempt {message.attempts + 1})"
