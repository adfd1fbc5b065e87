"""What the turns of a queue wait for that the database lacks: connections, room on its disk, itself."""

from __future__ import annotations

import logging
from random import Random
from typing import Final, final

import trio
from attrs import define, field

from rolebook.actors import Backoff

from ..contract import line_of

_log = logging.getLogger("rolebook.handler")

QUIET: Final = 1.0
"""Seconds without a shortage after which it is over: it comes and goes while several press on the same."""


@final
@define(eq=False)
class Shortage:
    """Lets the turns of one queue wait, each in its worker, so that they do not press on what is short.

    A turn that meets a shortage is void, and its message is to blame for nothing: it is tried again, after
    growing pauses, and no attempt is counted. What is short is said once, and once that it is over.

    Attributes:
        queue: The name of the queue.
        backoff: Between tries.
        random: The dice for the jitter.
    """

    queue: str
    backoff: Backoff
    random: Random
    _since: float = 0.0
    _met: float = 0.0
    _reason: str = ""
    _lot: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

    @property
    def is_on(self) -> bool:
        """Whether something was short not long ago."""
        return bool(self._reason)

    async def outlast(self, error: BaseException, tries: int) -> None:
        """Wait for a while: longer the more often it was tried, and until `look_up` at most."""
        if not self._reason:
            self._since = trio.current_time()
            _log.warning("queue %s waits, at no message's cost: %s", self.queue, line_of(error))
        self._reason, self._met = line_of(error), trio.current_time()
        with trio.move_on_after(self.backoff.delay(tries, self.random)):
            await self._lot.park()

    def is_over(self) -> None:
        """A turn got what it needed: another one may try, and so on."""
        self._lot.unpark()
        if not self._lot and trio.current_time() - self._met > QUIET:
            _log.info("queue %s goes on after %.1f s", self.queue, trio.current_time() - self._since)
            self._reason = ""

    def look_up(self) -> None:
        """Let those who wait see whether they still should."""
        self._lot.unpark_all()

    def note(self) -> str:
        """Say what is waited for, and since when, for the drawn tree; nothing if nothing is."""
        if not self._lot:
            return ""
        return f"waits since {trio.current_time() - self._since:.0f} s: {self._reason}"
