"""Sending from outside a turn: into the writer's next commit, or into the caller's own transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, final

import trio
from attrs import define, field

from rolebook.actors import Enqueue, OutcomeUnknown, Tell

from ..contract import SMALL, CommitPart, CommitUnit, Lineage, SendEncoder, SendRow, Settled, Verdict, size_of
from ._context import ClientContext
from ._depth_limits import DepthLimits
from ._errors import NotRunning

_log = logging.getLogger("rolebook")


@final
@define(eq=False)
class OutsideSender:
    """Sends what callers outside of any turn want sent."""

    context: ClientContext
    _served: set[str] = field(factory=set[str])
    encoder: SendEncoder = field(init=False)
    depths: DepthLimits = field(init=False)

    def __attrs_post_init__(self) -> None:
        app, store = self.context.app, self.context.store
        self.depths = DepthLimits(store, app.limits.depth)
        self.context.standing.on_forgotten.append(lambda _: self._served.clear())
        self.encoder = SendEncoder(app, store.partitions, app.limits.payload)

    async def send(self, effects: Sequence[Tell | Enqueue], ours: Mapping[str, str], connection: Any) -> None:
        """Send messages in one transaction: the caller's, if a connection is given.

        Args:
            effects: What to send.
            ours: Headers of the runtime's own.
            connection: The caller's, or None.
        """
        now, later = self.encoder.rows(effects, None, ours)
        for queue in {effect.queue for effect in effects} - self._served:
            if not await self.is_served(queue):
                _log.warning("no process has ever run %r: what is sent to it waits in the mailbox", queue)
                self._served.add(queue)  # said once
        if connection is None:
            await self.commit(now, later)
            return
        await self.depths.admit(now)
        rings = sorted({(row.queue, row.partition) for row in now})
        await self.context.store.send(connection, now, later, rings)
        self.context.count.sent_elsewhere({row.queue for row in now}, connection)

    async def is_served(self, queue: str) -> bool:
        """Say whether this app, or another that uses the store, has ever run a queue."""
        if (
            queue in self.context.app.queues
            or queue in self._served
            or await self.context.store.served(queue)
        ):
            self._served.add(queue)
            return True
        return False

    async def commit(self, sends: Sequence[SendRow], parts: Sequence[CommitPart]) -> None:
        """Let the writer commit some rows, and wait until it has.

        Raises:
            QueueFull: A queue has no room for them.
            NotRunning: The writer takes nothing any more.
        """
        await self.depths.admit(sends)
        if self.context.outbox.is_full:
            await self.context.outbox.wait_room()
        # Nothing is awaited from here to the hand-over: two sends of one task reach the writer in their
        # order.
        origin, verdicts = trio.open_memory_channel[Settled](1)
        lineage = Lineage()
        try:
            unit = CommitUnit(origin, sends=sends, parts=parts, lineage=lineage)
            size = sum([len(send.payload) for send in sends])
            if parts or size > SMALL * len(sends):
                size = size_of(unit)  # characters are not always bytes
            self.context.outbox.send_nowait((unit,), size)
        except trio.BrokenResourceError:
            raise NotRunning("the runtime has ended; this was not sent") from None
        try:
            settled = await verdicts.receive()
        except trio.Cancelled:
            # The writer passes over it, if its commit has not begun. To take it back out of the channel
            # would be no better: a commit under way has it already, and may still succeed.
            lineage.void = True
            raise
        if settled.verdict is not Verdict.COMMITTED:
            raise settled.error or OutcomeUnknown(f"the send ended as {settled.verdict.value}")
