"""What becomes of messages whose process died: they are begun with care, and the one that kills is found.

Nobody knows which message ended a process. So who takes a partition over begins what was visible then under
*trials*, each recorded before it begins:

    level 0   a group, while others go on
    level 1   what was in a group that died: one at a time, while others go on
    level 2   what died alone: when nothing else is in work in the process

Only a death at level 2 counts, and only if the process had lived longer without the trial than from its begin
until the death was noticed: who is killed from outside before anything can complete proves nothing. After
`DEATHS` of them the message is given up. While nothing dies nothing of this is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, final

from attrs import define, field

from ._rows import Fence

DEATHS: Final = 2
"""Deaths that count, after which a message is given up."""

GROUP: Final = 100
"""Messages of a trial of level 0."""

ALONE: Final = 2
"""The level at which nothing else is in work."""

LONGEST_ALONE: Final = 10.0
"""Seconds for which others in a process wait for one suspect at most, for it may wait for them itself. At
level 2 everything else waits: until all that was in work before has ended, and then as long again for the
suspect. At level 1 the other suspects wait."""

QUIET: Final = 1.0
"""Seconds that a process has lived at least before it begins a trial of level 2."""


@final
class Suspect(NamedTuple):
    """What is known against a message.

    Attributes:
        level: Of its next trial.
        deaths: How often a process died while nothing else was in work; only those that count.
        patience: Seconds that a process has to live before its next trial of level 2.
    """

    level: int
    deaths: int
    patience: float


@final
@define(eq=False)
class Trial:
    """Messages that are begun under observation.

    Attributes:
        level: How much else may be in work.
        deaths: That count against its message, at level 2.
        open: Those that may be in work.
        held: Those that wait for a retry: they will be in work again.
    """

    level: int
    deaths: int
    open: set[int]
    held: set[int] = field(factory=set[int])

    @classmethod
    def of(cls, suspect: Suspect | None, ids: Iterable[int]) -> Trial:
        """Make the trial of some messages; of one, if it is suspected."""
        level, deaths = (0, 0) if suspect is None else suspect[:2]
        return cls(level, deaths, set(ids))

    @property
    def is_lost(self) -> bool:
        """Whether its message is given up, and not begun again."""
        return self.deaths >= DEATHS

    def done(self, id_: int) -> None:
        """A message is handled, or will be read again."""
        self.open.discard(id_)
        self.held.discard(id_)

    def hold(self, id_: int) -> None:
        """A message waits for a retry."""
        if id_ in self.open:
            self.open.discard(id_)
            self.held.add(id_)


@final
class TrialRow(NamedTuple):
    """A trial as it is recorded, in place of the last of its level in its partition.

    Attributes:
        fence: Of the partition.
        level: How much else may be in work.
        ids: Of the messages.
        lived: Seconds that the process has lived before.
    """

    fence: Fence
    level: int
    ids: Sequence[int]
    lived: float


def first_step(ids: Sequence[int], suspects: dict[int, Suspect]) -> Sequence[int]:
    """Return what begins next: the messages before the first suspect, or that one alone."""
    if ids[0] in suspects:
        return ids[:1]
    innocent = next((place for place, id_ in enumerate(ids) if id_ in suspects), len(ids))
    return ids[:innocent]
