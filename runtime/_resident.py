"""An actor in memory, and what it may do in which phase.

COLD      its state is unknown: it waits to be loaded, once nothing of it is uncommitted
LOADED    its state is that after its last computed turn, committed or not
BLOCKED   its first message failed and waits for its retry; the others wait behind it
PARKED    its journal cannot be replayed: its messages stay in the mailbox
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any, TypeAlias

from attrs import define, field

from ._finished import Lineage
from ._rows import Message
from ._signals import LocalAsk

Work: TypeAlias = Message | LocalAsk


class Phase(Enum):
    """What an actor in memory may do."""

    COLD = "cold"
    LOADED = "loaded"
    BLOCKED = "blocked"
    PARKED = "parked"


class Spill(Enum):
    """Whether messages of a blocked key were set aside."""

    NONE = "none"
    ASIDE = "aside"
    """Some were dropped from memory: the key must be read again."""
    REREADING = "rereading"
    """They are coming in again, and nothing was dropped since."""


@define(eq=False)
class Resident:
    """One actor in memory.

    Attributes:
        seq: The sequence number of its last event, committed or not.
        snapshot: The sequence number of its last snapshot, for deciding when the next is due.
        pending: Turns handed to the writer whose verdict is open.
        waiting: Work that has not begun, in order.
        redo: Work whose turn fell with an earlier one; it goes back to the front.
        used: When it was last needed, on Trio's clock.
        reading: Which reading of its set-aside messages is under way.
        asks: Asks that came after messages that were set aside.
        due: When a blocked actor may go on, on Trio's clock.
        once: Idempotency keys whose outcome waits for its commit.
        problem: Why a parked actor is parked.
    """

    key: str
    partition: int
    phase: Phase = Phase.COLD
    state: Any = None
    seq: int = 0
    snapshot: int = 0
    lineage: Lineage = field(factory=Lineage)
    pending: int = 0
    waiting: deque[Work] = field(factory=deque[Work])
    redo: list[Work] = field(factory=list[Work])
    spill: Spill = Spill.NONE
    reading: int = 0
    asks: list[LocalAsk] = field(factory=list[LocalAsk])
    used: float = 0.0
    due: float = 0.0
    once: frozenset[str] = frozenset()
    problem: Exception | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost but time if it were forgotten now."""
        return (
            self.pending == 0
            and not self.waiting
            and self.phase in (Phase.LOADED, Phase.COLD)
            and self.spill is Spill.NONE
        )

    @property
    def is_stuck(self) -> bool:
        """Whether it waits for somebody to resume it."""
        return self.phase is Phase.PARKED or (self.phase is Phase.BLOCKED and self.due == float("inf"))

    def discard(self) -> None:
        """Forget the state: it holds something that was not, or will not be, committed."""
        self.phase = Phase.COLD
        self.state = None
        self.lineage = Lineage()

    def forget_given_up(self) -> None:
        """Let go of asks that nobody waits for any more: a blocked actor may be asked again and again."""
        self.waiting = deque(work for work in self.waiting if not _is_given_up(work))
        self.asks = [ask for ask in self.asks if not _is_given_up(ask)]

    def put_back(self) -> None:
        """Put the work whose turns fell back to the front, in its old order."""
        self.waiting.extendleft(reversed(self.redo))
        self.redo.clear()


def _is_given_up(work: Work) -> bool:
    return isinstance(work, LocalAsk) and work.promise.given_up
