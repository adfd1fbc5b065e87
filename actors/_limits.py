"""The bounds of an app."""

from typing import final

import attrs

from ._errors import DefinitionError


@final
@attrs.frozen
class Limits:
    """What an app refuses to go beyond.

    Args:
        payload: The most bytes that one message or event may have, encoded.
        depth: The most messages that may wait in one queue; who sends more through the runtime gets
            `QueueFull`. Messages for later, what a turn sends and what SQL sends are not held up. It is held
            to roughly: each process counts about once a second. None: no bound.
        turn_seconds: How long a queue's handler may take with one message, in seconds. None: no bound.
            An actor's turn computes without a wait, and cannot be cancelled.

    Raises:
        DefinitionError: A bound below 1 byte or message, or no time at all.
    """

    payload: int = attrs.field(default=1024 * 1024, kw_only=True)
    depth: int | None = attrs.field(default=None, kw_only=True)
    turn_seconds: float | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.payload < 1:
            raise DefinitionError(f"Limits(payload={self.payload}): give 1 byte or more")
        if self.depth is not None and self.depth < 1:
            raise DefinitionError(f"Limits(depth={self.depth}): give 1 message or more, or None")
        if self.turn_seconds is not None and not self.turn_seconds > 0:
            raise DefinitionError(f"Limits(turn_seconds={self.turn_seconds}): give seconds above 0, or None")
