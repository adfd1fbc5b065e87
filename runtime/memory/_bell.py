"""The doorbell: hints to whoever listens, given when a transaction commits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import trio
from attrs import define, field


@final
@define(eq=False)
class Bell:
    """Carries hints to every ear.

    Attributes:
        muted: Whether hints are lost on the way, as notifications may be.
    """

    muted: bool = False
    _ears: dict[trio.MemorySendChannel[str], int] = field(factory=dict[trio.MemorySendChannel[str], int])

    def ring(self, hints: Iterable[str]) -> None:
        """Give some hints to all, equal ones once, as one transaction's notifications are."""
        if self.muted:
            return
        for hint in dict.fromkeys(hints):
            for ear in self._ears:
                ear.send_nowait(hint)

    def ring_at(self, hints: Iterable[tuple[int, str]]) -> None:
        """Give some hints, each to the process of its number, equal ones once."""
        if self.muted:
            return
        for life, hint in dict.fromkeys(hints):
            for ear, listens in self._ears.items():
                if listens == life:
                    ear.send_nowait(hint)

    def listen(self, life: int) -> tuple[trio.MemorySendChannel[str], trio.MemoryReceiveChannel[str]]:
        """Hear every hint from now on; the first channel is the name to forget it by."""
        # Unbounded: a listener that lags must not stop those who commit.
        ear, hints = trio.open_memory_channel[str](float("inf"))
        self._ears[ear] = life
        return ear, hints

    def forget(self, ear: trio.MemorySendChannel[str]) -> None:
        """Hear nothing more."""
        self._ears.pop(ear, None)
        ear.close()
