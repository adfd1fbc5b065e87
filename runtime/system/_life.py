"""The life of a process, as others see it: a number, drawn anew when the process was as good as dead."""

from __future__ import annotations

import logging
from random import SystemRandom
from typing import Final, final

import trio
from attrs import define, field

_log = logging.getLogger("rolebook.fetcher")

_BITS: Final = 62


def draw() -> int:
    """Draw a number that no other process has."""
    return SystemRandom().getrandbits(_BITS)


@final
@define(eq=False)
class Life:
    """Names a process in the database for as long as it lives.

    A process whose loop stood still for so long that the server has ended its session begins a new life: what
    it had in work then may have been what held it, and is begun with care, here as elsewhere.

    Attributes:
        number: In the rows of members and partitions, and in the name of the channel.
        since: When it began, on Trio's clock.
    """

    number: int = field(factory=draw)
    since: float = -float("inf")
    _was_frozen: bool = False

    def overslept(self, seconds: float, longest: float) -> None:
        """The loop went on so many seconds after it was due.

        Args:
            seconds: How late.
            longest: What a session survives.
        """
        if seconds >= longest:
            _log.warning("the process stood still for %.1f s", seconds)
            self._was_frozen = True

    def go_on(self) -> None:
        """A session begins; a new life does if the process stood still."""
        if self.since == -float("inf"):
            self.since = trio.current_time()
        if self._was_frozen:
            self.number, self.since, self._was_frozen = draw(), trio.current_time(), False
