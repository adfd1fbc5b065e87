"""Who is told of what a store tries again by itself."""

from __future__ import annotations

from typing import Protocol, final

import trio


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

    async def wait(self, seconds: float) -> None:
        """Wait before the next try: not so long if another part is heard to go on meanwhile."""
        ...

    def overcome(self, part: str) -> None:
        """A part goes on, if it had failed."""
        ...

    def gave_up(self, part: str) -> None:
        """A part that may have failed tries no more."""
        ...


@final
class Untold:
    """Tells nobody: for stores that no runtime works on."""

    def met(self, part: str, error: Exception, delay: float) -> None:
        """Do nothing."""

    async def wait(self, seconds: float) -> None:
        """Wait."""
        await trio.sleep(seconds)

    def overcome(self, part: str) -> None:
        """Do nothing."""

    def gave_up(self, part: str) -> None:
        """Do nothing."""
