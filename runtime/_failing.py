"""How a failed turn is stored: as a retry in place, a retry as a new arrival, or a dead letter."""

from __future__ import annotations

import traceback
from typing import Any, final

from rolebook.actors import RolebookError

from ._rows import Message, Rare

_LONGEST = 4000


@final
class TurnExited(RolebookError):
    """A handler or a decider, or something it called, wanted to end the process: that fails its turn only."""

    def __init__(self, code: object) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return (
            f"the turn called sys.exit({self.code!r}), which ends no process here; let it raise what is wrong"
        )


def retry_part(kind: str, message: Message, error: BaseException, delay: float | None) -> Rare:
    """Return the part that records a failed attempt.

    Args:
        kind: "retries": the message keeps its place; "later": it comes back as a new arrival.
        message: Which one.
        error: What its turn raised.
        delay: Seconds until the next attempt, on the store's clock; None: when it is resumed.
    """
    return Rare(kind, {**_identity(message), "error": describe(error), "delay": delay})


def park_part(message: Message, error: BaseException) -> Rare:
    """Return the part that parks a message without counting an attempt: it was not tried."""
    return Rare(
        "retries",
        {**_identity(message), "attempts": message.attempts, "error": describe(error), "delay": None},
    )


def dead_part(message: Message, error: BaseException) -> Rare:
    """Return the part that makes a message a dead letter."""
    return Rare("dead", {**_identity(message), "error": describe(error)})


def _identity(message: Message) -> dict[str, Any]:
    return {
        "queue": message.queue,
        "priority": message.priority,
        "tx": str(message.tx),
        "id": message.id,
        "attempts": message.attempts + 1,
    }


def cause(error: BaseException) -> BaseException | None:
    """Return an error whose traceback is worth logging: user code's; our own errors say what to do."""
    return None if isinstance(error, RolebookError) else error


def text_of(error: BaseException) -> str:
    """Return an error's type and text. The text is user code too, and may fail itself."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as second:  # noqa: BLE001 - whatever it is, the first error is what counts
        return f"{type(error).__name__} (its text raised {type(second).__name__})"


def describe(error: BaseException) -> str:
    """Return an error's type, text and the end of its traceback, as can be stored."""
    lines = "".join(traceback.format_exception(error, limit=-4)).strip()
    text = text_of(error)
    whole = text if error.__traceback__ is None else f"{text}\n\n{lines}"
    # A text column takes neither NUL nor half of a surrogate pair.
    return whole[:_LONGEST].replace("\0", "\\0").encode(errors="backslashreplace").decode()
