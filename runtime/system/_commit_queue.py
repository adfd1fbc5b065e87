"""What waits for the writer, and how many bytes of it there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import trio
from attrs import define, field

from ..contract import CommitUnit, size_of


@final
@define(eq=False)
class CommitQueue:
    """Units on their way to the writer. Who hands some in waits first while there are too many bytes.

    Attributes:
        most: Bytes beyond which nobody hands in more.
        inbox: The writer's.
        size: Bytes of what was handed in and has no verdict yet.
    """

    most: float = float("inf")
    inbox: trio.MemoryReceiveChannel[Sequence[CommitUnit]] = field(init=False)
    size: int = 0
    _send: trio.MemorySendChannel[Sequence[CommitUnit]] = field(init=False)
    _lot: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

    def __attrs_post_init__(self) -> None:
        self._send, self.inbox = trio.open_memory_channel[Sequence[CommitUnit]](float("inf"))

    @property
    def is_full(self) -> bool:
        """Whether to wait before more is handed in."""
        return self.size > self.most

    async def wait_room(self) -> None:
        """Wait until it is not full.

        One at a time goes on, and lets the next look only then: all at once would hand in more than there is
        room for.
        """
        while self.is_full:
            await self._lot.park()
        self._lot.unpark()

    def send_nowait(self, units: Sequence[CommitUnit], size: int = 0) -> None:
        """Hand units in, in any case.

        Args:
            units: In order; they go into one commit, as far as there is room.
            size: Bytes that they store. What is small need not be counted.

        Raises:
            trio.BrokenResourceError: The writer takes nothing any more.
        """
        self._send.send_nowait(units)
        if size:
            units[0].size = size
            self.size += size

    def settled(self, units: Sequence[CommitUnit]) -> None:
        """The writer has given its verdict on some units."""
        if self.size:
            self.size -= sum([unit.size for unit in units])
            self._lot.unpark()

    def fitting(self, units: Sequence[CommitUnit], most: int) -> int:
        """Return how many of some units come before what is too much for one commit; 0 if all fit."""
        if self.size <= most:
            return 0  # all that there is fits
        size = 0
        for place, unit in enumerate(units):
            size += size_of(unit)
            if size > most and place:
                return place
        return 0
