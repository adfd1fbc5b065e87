"""The story of a trouble that several parts have at once, told as one.

A database that is away fails listener, fetcher, scheduler and handlers, each in its own time and again and
again. That is one thing to tell: once for each attempt, whoever made it, and once when it is over.

Pure: it is told what happened and when, and says what is to be said.
"""

from __future__ import annotations

from typing import final

from attrs import define, field, frozen

PATIENCE = 1.0
"""Seconds for which a reason counts as told, however soon the next attempt is to come."""

MEMORY = 60.0
"""Seconds of health after which a story is over for good: as `Backoff.healthy_after`."""


@final
@frozen
class Trouble:
    """Why a part failed.

    Attributes:
        text: The whole reason, in one line.
        is_outage: Whether it comes from outside, so that waiting or the remedy in the text mends it.
            Otherwise it is a bug, or may be one.
        kind: What makes two troubles the same one.
    """

    text: str
    is_outage: bool
    kind: str


@final
@frozen
class Attempt:
    """A failure that is to be told.

    Attributes:
        number: How many have been told, this one included.
        is_news: Whether its reason was not told before in this story.
    """

    number: int
    is_news: bool


@final
@frozen
class End:
    """All parts run again.

    Attributes:
        seconds: From the first failure on, since all ran.
        attempts: How many of these were told.
        was_outage: Whether each reason was one from outside.
    """

    seconds: float
    attempts: int
    was_outage: bool


@final
@frozen
class _Told:
    """Who told of a reason last, and until when others that fail for it have nothing to add."""

    part: str
    until: float


@final
@define(eq=False)
class Story:
    """What was told of the present trouble, and who has it.

    Who told of a reason goes on telling, with each of its attempts. Another part that fails for the same
    reason has nothing to add, as long as the next attempt of the first is still to come: its own pauses may
    be at their beginning when those of the first have grown.

    What comes back soon after its end is the same story: its count goes on, and nothing in it is news.
    """

    _since: float = 0.0
    _before: int = 0
    _ended: float = float("-inf")
    _attempts: int = 0
    _was_outage: bool = True
    _troubled: set[str] = field(factory=set[str])
    _told: dict[str, _Told] = field(factory=dict[str, _Told])

    def failed(self, part: str, trouble: Trouble, now: float, delay: float = 0.0) -> Attempt | None:
        """Take note of a failure.

        Args:
            part: Which part failed.
            trouble: Why.
            now: When, in seconds.
            delay: Seconds until it tries again.

        Returns:
            What to say of it; None if it was said.
        """
        if not self._troubled:
            if now - self._ended >= MEMORY:
                self._begin()
            self._since, self._before = now, self._attempts
        self._troubled.add(part)
        told = self._told.get(trouble.kind)
        if told is not None and told.part != part and now < told.until:
            return None
        until = now + max(delay, PATIENCE)
        self._told[trouble.kind] = _Told(part, until if told is None else max(until, told.until))
        self._attempts += 1
        self._was_outage = self._was_outage and trouble.is_outage
        return Attempt(self._attempts, is_news=told is None)

    def recovered(self, part: str, now: float) -> End | None:
        """Take note that a part runs again; returns what to say if it was the last of them."""
        if part not in self._troubled:
            return None
        self._troubled.remove(part)
        if self._troubled:
            return None
        self._ended = now
        return End(now - self._since, self._attempts - self._before, self._was_outage)

    def is_about(self, part: str) -> bool:
        """Whether a part is in trouble."""
        return part in self._troubled

    def left(self, part: str) -> None:
        """Take note that a part is no more: its trouble has not ended, and is no affair of the others."""
        self._troubled.discard(part)

    def _begin(self) -> None:
        self._attempts = 0
        self._was_outage = True
        self._told.clear()
