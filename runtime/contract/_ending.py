"""The end of a runtime: one deadline, and the times that follow from it."""

from __future__ import annotations

from typing import Final, final

from attrs import define, field

from rolebook.actors import Stopping

LONGEST_REST: Final = 1.0
"""Seconds of a shutdown that are kept for what comes after the last turn, at most."""

REST: Final = 0.2
"""Which part of a shutdown is kept for that, at most."""


@final
@define(eq=False)
class Ending:
    """Tells every part of a runtime at once that it ends, and until when each of them may work.

    Allowances for one part after the other would add up: six queues would take six times as long as one. So
    all begin to end at the same moment, and all times are moments of one clock:

        announced ........... work_until ... settle_until ... leave_until ... over_at
        turns end             verdicts       partitions       the last        all is closed
                              come in        go back          commits

    Whoever is done earlier makes way for the next. The last three take a third each of what is kept for them:
    a fifth of the whole, a second at most.

    Attributes:
        seconds: From the announcement until all is over.
        announced: Set when the runtime begins to end, for whatever reason.
    """

    seconds: float
    announced: Stopping = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.announced = Stopping(self.seconds - self.rest)

    @property
    def is_announced(self) -> bool:
        """Whether nothing is to begin any more."""
        return self.announced.is_set()

    @property
    def rest(self) -> float:
        """Seconds between the end of the last turn and that of the runtime."""
        return min(LONGEST_REST, self.seconds * REST)

    @property
    def work_until(self) -> float:
        """When turns that have begun are cancelled, on Trio's clock; infinite before the announcement."""
        return self.announced.deadline

    @property
    def settle_until(self) -> float:
        """When nobody waits for a verdict, and no connection for its way back to rest, any more."""
        return self.work_until + self.rest / 3

    @property
    def leave_until(self) -> float:
        """When nobody waits any more for partitions to be given back."""
        return self.work_until + self.rest * 2 / 3

    @property
    def over_at(self) -> float:
        """When the last commit is given up, and what is still open is closed."""
        return self.work_until + self.rest
