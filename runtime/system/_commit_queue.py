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
        size: Bytes of what was handed in and has no verdict yet.
    """

    most: int
    to_writer: trio.MemorySendChannel[Sequence[CommitUnit]]
    size: int = 0
    _lot: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

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

    def send_nowait(self, units: Sequence[CommitUnit]) -> None:
        """Hand units in, in any case.

        Raises:
            trio.BrokenResourceError: The writer takes nothing any more.
        """
        self.to_writer.send_nowait(units)
        size = 0
        for unit in units:
            if unit.events or unit.sends or unit.parts:
                unit.size = size_of(unit)
                size += unit.size
        self.size += size

    def settled(self, units: Sequence[CommitUnit]) -> None:
        """The writer has given its verdict on some units."""
        if size := sum([unit.size for unit in units]):
            self.size -= size
            self._lot.unpark()
