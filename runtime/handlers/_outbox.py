"""What a handler of actors has ready for the others: units for the writer, and room for the fetcher."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import final

import trio
from attrs import define, field

from ..contract import (
    CommitPart,
    CommitUnit,
    Fence,
    Message,
    RetryInPlace,
    Settled,
    StoreFirstOutcome,
    Verdict,
    line_of,
)
from ..system import Credit, HandlerSignal, Reread
from ._context import HandlerContext
from ._failing import name_of
from ._key_lines import KeyLines, Work
from ._resident import Resident

_log = logging.getLogger("rolebook.handler")


@final
@define(eq=False)
class Outbox:
    """Gathers what turns come to, so that one hand-over carries many.

    Attributes:
        queue: The name of the kind of actor.
        origin: Where the writer sends its verdicts.
        fences: The partitions this process owns.
        units: What waits to be handed to the writer.
    """

    queue: str
    context: HandlerContext
    lines: KeyLines
    origin: trio.MemorySendChannel[HandlerSignal]
    fences: Mapping[int, Fence] = field(factory=dict[int, Fence])
    units: list[CommitUnit] = field(factory=list[CommitUnit])

    def add(self, resident: Resident, work: Work, parts: Sequence[CommitPart]) -> CommitUnit:
        """Add the unit of some work of an actor; its message is deleted with it."""
        unit = CommitUnit(self.origin, parts=parts, lineage=resident.line.lineage, subject=(resident, work))
        if isinstance(work, Message):
            unit.fence = work.fence
            unit.consumed = work
        else:
            unit.fence = self.fences.get(resident.partition)
            unit.promise = work.promise
        if parts:
            resident.once |= once_ids(parts)
        self.units.append(unit)
        return unit

    def add_alone(self, message: Message, part: CommitPart) -> None:
        """Add what becomes of a message that is in no line."""
        unit = CommitUnit(self.origin, message.fence, parts=(part,), subject=(None, message))
        self.units.append(unit)

    def alone_settled(self, message: Message, settled: Settled) -> None:
        """Forget a message that is in no line; if the database refused what was to become of it, it stays."""
        if settled.verdict is Verdict.FAILED and settled.error is not None:
            _log.error("%s stays in its mailbox: %s", name_of(message), line_of(settled.error))
        self.lines.done_with(message)

    async def make_way(self) -> None:
        """Hand over, let others have their turn, and wait until the writer has room for more."""
        self.hand_over()
        await trio.lowlevel.checkpoint()
        await self.context.outbox.wait_room()

    def read_again(self, resident: Resident, number: int) -> None:
        """Have the key of an actor read again."""
        reread = Reread(self.queue, resident.key, resident.partition, number)
        self.context.fetcher.send_nowait(reread)

    def hand_over(self) -> None:
        """Give the writer what is finished, and the fetcher the room that is free."""
        size = self.context.encoder.take_size()
        if self.units:
            self.context.outbox.send_nowait(self.units, size)
            self.units = []
        if self.lines.freed:
            self.context.fetcher.send_nowait(Credit(self.queue, *self.lines.take_freed()))


def keeps_its_row(unit: CommitUnit) -> bool:
    """Whether the message of a unit stays in the mailbox."""
    return bool(unit.parts) and any(isinstance(part, RetryInPlace) for part in unit.parts)


def once_ids(parts: Sequence[CommitPart]) -> frozenset[str]:
    """Return the idempotency keys whose outcome is among some parts."""
    return frozenset(part.id for part in parts if isinstance(part, StoreFirstOutcome))
