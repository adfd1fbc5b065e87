"""An actor in memory, and what is known of its state.

    COLD      its state is unknown: it is loaded when it has work, once nothing of it is uncommitted
    LOADED    its state is that after its last computed turn, committed or not
    BROKEN    its journal cannot be replayed: its messages stay in the mailbox until it is resumed

    step      from             to
    LOAD      COLD             LOADED
    DISCARD   any              COLD     the state holds what was not, or will not be, committed
    BREAK     COLD             BROKEN

Whether its first message waits for a retry is a matter of its line; see `_key_lines`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, final

from attrs import define

from ..contract import Lineage
from ._key_lines import Line
from ._life_cycle import after
from ._line_states import HELD


class Phase(IntEnum):
    """What is known of an actor's state."""

    COLD = 0
    LOADED = 1
    BROKEN = 2


class PhaseStep(IntEnum):
    """What happens to an actor's state."""

    LOAD = 0
    DISCARD = 1
    BREAK = 2


PHASE_STEPS: Final = {
    PhaseStep.LOAD: {Phase.COLD: Phase.LOADED},
    PhaseStep.DISCARD: dict.fromkeys(Phase, Phase.COLD),
    PhaseStep.BREAK: {Phase.COLD: Phase.BROKEN},
}

COLD, LOADED, BROKEN = Phase  # see `_key_lines`
LOAD, DISCARD, BREAK = PhaseStep


@final
@define(eq=False)
class Resident:
    """One actor in memory.

    Attributes:
        line: Its messages and asks that are not settled.
        seq: The sequence number of its last event, committed or not.
        snapshot: The sequence number of its last snapshot, for deciding when the next is due.
        used: When it was last needed, on Trio's clock.
        due: When what its line holds may begin, on Trio's clock; infinite until it is resumed.
        once: Idempotency keys whose outcome waits for its commit.
        problem: Why a broken actor is broken.
    """

    key: str
    partition: int
    line: Line
    phase: Phase = COLD
    state: Any = None
    seq: int = 0
    snapshot: int = 0
    used: float = 0.0
    due: float = 0.0
    once: frozenset[str] = frozenset()
    problem: Exception | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost but time if it were forgotten now."""
        return self.line.is_empty and self.phase is not BROKEN

    @property
    def is_blocked(self) -> bool:
        """Whether its first message waits for a retry."""
        return self.line.state is HELD and self.due != float("inf")

    @property
    def is_parked(self) -> bool:
        """Whether its first message waits for somebody to resume it."""
        return self.line.state is HELD and self.due == float("inf")

    @property
    def is_broken(self) -> bool:
        """Whether its journal cannot be replayed."""
        return self.phase is BROKEN

    def load(self, state: object, seq: int, snapshot: int) -> None:
        """Take the state that its journal makes."""
        self._step(LOAD)
        self.state, self.seq, self.snapshot = state, seq, snapshot

    def discard(self) -> None:
        """Forget the state: it holds something that was not, or will not be, committed.

        The next life gets a lineage of its own, because that of this one may be void by now: the turns of
        the next do not build on it, and must not fall with it.
        """
        self._step(DISCARD)
        self.state = self.problem = None
        self.line.lineage = Lineage()

    def break_down(self, problem: Exception) -> None:
        """Take note that its journal cannot be replayed."""
        self._step(BREAK)
        self.problem = problem

    def _step(self, step: PhaseStep) -> None:
        self.phase = after(PHASE_STEPS, step, self.phase, f"actor {self.key!r}")
