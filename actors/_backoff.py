"""How long to wait before trying again."""

from random import Random

import attrs


@attrs.frozen
class Backoff:
    """Exponential backoff with full jitter, applied after the cap.

    Args:
        first: The bound of the first wait, in seconds.
        factor: Each further bound is the last one times this.
        cap: No bound is above this, in seconds.
        healthy_after: Seconds of health after which the count starts again.
    """

    first: float = 0.1
    factor: float = 2.0
    cap: float = 30.0
    healthy_after: float = 60.0

    def delay(self, attempt: int, random: Random) -> float:
        """Return the wait in seconds after so many failed attempts (1 is the first)."""
        try:
            bound = self.first * self.factor ** (attempt - 1)
        except OverflowError:
            bound = self.cap
        return random.uniform(0.0, min(bound, self.cap))
