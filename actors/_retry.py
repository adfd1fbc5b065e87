"""How often a message is tried, and how long to wait in between."""

from typing import final

import attrs

from ._backoff import Backoff
from ._errors import DefinitionError


@final
@attrs.frozen
class Retry:
    """A policy for messages whose turn fails.

    Args:
        attempts: How often a message is tried in all, before it becomes a dead letter.
        backoff: The wait between attempts.

    Raises:
        DefinitionError: `attempts` is below 1.
    """

    attempts: int = attrs.field(default=5)
    backoff: Backoff = attrs.field(factory=Backoff)

    def __attrs_post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise DefinitionError(f"Retry(attempts={self.attempts!r}): a message is tried at least once")
