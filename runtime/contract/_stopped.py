"""Keys that are stopped until somebody resumes them.

Both kinds are one thing to the mailbox: the key's first message waits for no time. Which of them it is
stands in front of the message's error.
"""

from __future__ import annotations

from typing import Literal, Self, final

from attrs import frozen

from ._error_texts import headline, report_of

_BROKEN = "broken: "


@final
@frozen
class StoppedKey:
    """A key of an actor or a queue that is stopped until it is resumed.

    Attributes:
        queue: The name of the actor or the queue.
        key: Which one.
        state: "parked": its first message failed, and `on_failure="park"` stopped it. "broken": the actor's
            journal cannot be replayed.
        attempts: How often its first message was tried.
        reason: What the last attempt ended with, or why the journal cannot be replayed.
    """

    queue: str
    key: str
    state: Literal["parked", "broken"]
    attempts: int
    reason: str

    @property
    def headline(self) -> str:
        """The line of the reason that names the error, and what caused it: for lists."""
        return headline(self.reason)

    @classmethod
    def of_row(cls, queue: str, key: str, attempts: int, error: str) -> Self:
        """Read what the mailbox says of a message that waits for no time."""
        if error.startswith(_BROKEN):
            return cls(queue, key, "broken", attempts, error.removeprefix(_BROKEN))
        return cls(queue, key, "parked", attempts, error)

    @classmethod
    def broken(cls, queue: str, key: str, problem: BaseException) -> Self:
        """Return an actor that was found broken, and has no message to say so."""
        return cls(queue, key, "broken", 0, report_of(problem))


def broken_error(problem: BaseException) -> str:
    """Return what the first message of a broken actor's key keeps as its error."""
    return _BROKEN + report_of(problem)
