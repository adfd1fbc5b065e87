"""What a client may be told instead of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from rolebook.actors import RolebookError


@final
class NotRunning(RolebookError):
    """The runtime was used before it was opened, or after it was closed."""


@final
class UnknownQueue(RolebookError):
    """Nobody has ever run the actor that was asked: no reply would ever come.

    Args:
        queue: Its name.
        known: The actors of this app.
    """

    def __init__(self, queue: str, known: Sequence[str]) -> None:
        super().__init__(queue, known)
        self.queue = queue
        self.known = known

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return (
            f"no process has ever run actor {self.queue!r}; this app has: {known}."
            " Correct the name, or start an app that has this actor."
        )
