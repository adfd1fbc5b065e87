"""How long to wait before trying again.

The jitter is applied after the cap.
Applied before it, everybody who has reached the cap would wait exactly as long and come back in step.
"""

from random import Random
from typing import final

import attrs

from ._invalid import InvalidSetting, number


@final
@attrs.frozen
class Backoff:
    """Exponential backoff with full jitter, applied after the cap.

    Args:
        first: The bound of the first wait, in seconds; 0 tries again at once.
        factor: Each further bound is the last one times this; 1 or more.
        cap: No bound is above this, in seconds.
        healthy_after: Seconds of health after which the count of attempts starts again.
            A shorter recovery leaves the count where it was.
        jitter: The share of a wait that is random, from 0 (none) to 1 (all of it: full jitter).

    Raises:
        InvalidSetting: A number is out of its bounds.

    Example:
        >>> Backoff(first=1, cap=4, jitter=0).delay(3, Random())
        4.0
    """

    first: float = 0.1
    factor: float = 2.0
    cap: float = 30.0
    healthy_after: float = 60.0
    jitter: float = 1.0

    def __attrs_post_init__(self) -> None:
        number("first", self.first, least=0)
        number("factor", self.factor, least=1)
        number("cap", self.cap, least=0)
        number("healthy_after", self.healthy_after, least=0)
        number("jitter", self.jitter, least=0)
        if self.cap < self.first:
            problem = f"{self.cap!r} is below first={self.first!r}"
            raise InvalidSetting("cap", problem, "give a cap that is not below the first wait")
        if self.jitter > 1:
            raise InvalidSetting("jitter", f"{self.jitter!r} is out of bounds", "give a share from 0 to 1")

    def bound(self, attempt: int) -> float:
        """Return the longest wait after so many failed attempts, in seconds."""
        if self.first == 0:
            return 0.0
        try:
            return float(min(self.first * self.factor ** (attempt - 1), self.cap))
        except OverflowError:
            return float(self.cap)

    def least(self, attempt: int) -> float:
        """Return the shortest wait after so many failed attempts, in seconds."""
        return self.bound(attempt) * (1 - self.jitter)

    def delay(self, attempt: int, random: Random) -> float:
        """Return the wait after so many failed attempts, in seconds.

        A pure function of its arguments.

        Args:
            attempt: Failures in a row, 1 for the first.
            random: Where the jitter comes from.
        """
        return random.uniform(self.least(attempt), self.bound(attempt))
