"""Who is told of what a store tries again by itself."""

from __future__ import annotations

from typing import Protocol, final


class Troubles(Protocol):
    """Is told when a part of a store cannot go on for now, and when it can."""

    def met(self, part: str, error: Exception, delay: float) -> None:
        """A part failed, and tries again.

        Args:
            part: Its name.
            error: Why.
            delay: Seconds until it tries again.
        """
        ...

    def overcome(self, part: str) -> None:
        """A part that had failed goes on, or gave up."""
        ...


@final
class Untold:
    """Tells nobody: for stores that no runtime works on."""

    def met(self, part: str, error: Exception, delay: float) -> None:
        """Do nothing."""

    def overcome(self, part: str) -> None:
        """Do nothing."""
