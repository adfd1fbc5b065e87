"""When a process looks for messages by itself, and when it has itself woken. Pure.

To wake somebody is cheap for one sender and dear for many: PostgreSQL commits those who notify one after the
other, flush by flush, across all its databases. So a process that is woken again and again says that it is
awake. Until it says otherwise nobody wakes it, and it looks by itself.

Whether that pays it finds out by trying: who sends alone gains nothing by it, and many at once wait for each
other as long as they ring, so that nothing is to be seen of them before. Each look costs two from a purse,
and each message that it finds puts one in. When the purse is empty the process falls asleep, and takes one
more look at once; see `_doubt.py` for those who had not noticed. A try that did not pay makes the next one
come later.
"""

from __future__ import annotations

from typing import Final, final

from attrs import define

PAUSE: Final = 0.002
"""Seconds from the beginning of one look of a process that is awake to that of the next."""

NEAR: Final = 0.02
"""Seconds between two looks that count as in a row, at most."""

IN_A_ROW: Final = 8
"""Looks in a row, each rung for and with something found, after which a process says that it is awake. What
comes alone costs nothing."""

MOST_IN_A_ROW: Final = 128
"""The same after many tries that did not pay; each doubles the number."""

COST: Final = 2
"""Messages that a look has to find, on average, to pay."""

FULL: Final = 16
"""What the purse holds at most; a try begins with half of it, and has paid once it was full."""


@final
@define(eq=False)
class Drowsing:
    """Decides whether a process is awake.

    Attributes:
        is_awake: Whether it is, by what it has said to senders.
    """

    is_awake: bool = False
    _in_a_row: int = 0
    _wanted: int = IN_A_ROW
    _last: float = -float("inf")
    _purse: int = 0
    _has_paid: bool = False
    _next: float = float("inf")

    @property
    def wants_to_wake(self) -> bool:
        """Whether it should say that it is awake."""
        return not self.is_awake and self._in_a_row >= self._wanted

    @property
    def wants_to_sleep(self) -> bool:
        """Whether it should say that it is asleep."""
        return self.is_awake and self._purse <= 0

    def woke(self) -> None:
        """It has said that it is awake: there is a look to take."""
        self.is_awake, self._in_a_row, self._purse, self._has_paid = True, 0, FULL // 2, False

    def fell_asleep(self) -> None:
        """It has said that it is asleep: there is one more look to take."""
        self.is_awake, self._next = False, float("inf")
        self._wanted = IN_A_ROW if self._has_paid else min(MOST_IN_A_ROW, 2 * self._wanted)

    def looked(self, began: float, ended: float, found: int, *, rung: bool) -> None:
        """Take note of a look.

        Args:
            began: When it began, on Trio's clock.
            ended: When it ended.
            found: How many messages it found.
            rung: Whether somebody had rung for it.
        """
        if self.is_awake:
            self._purse = min(FULL, self._purse + found - COST)
            self._has_paid = self._has_paid or self._purse == FULL
            self._next = began + PAUSE
        elif rung and found:
            self._in_a_row = self._in_a_row + 1 if began - self._last <= NEAR else 1
            self._last = ended

    def next_look(self) -> float:
        """Return when to look again by itself, on Trio's clock; infinite for one that is asleep."""
        return self._next
