"""Sending from outside a turn: into the writer's next commit, or into the caller's own transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, final

import trio
from attrs import define, field

from rolebook.actors import Enqueue, OutcomeUnknown, RolebookError, Tell

from ._depths import Depths
from ._finished import Finished, Lineage, Settled, Verdict
from ._parts import Parts
from ._rows import Rare, SendRow
from ._sending import Sender

_log = logging.getLogger("rolebook")


@final
class NotRunning(RolebookError):
    """The runtime was used before it was opened, or after it was closed."""


@final
class UnknownQueue(RolebookError):
    """Nobody has ever run the actor that was asked: no reply would ever come.

    Args:
        queue: Its name.
        known: The actors of this app.
    """

    def __init__(self, queue: str, known: Sequence[str]) -> None:
        super().__init__(queue, known)
        self.queue = queue
        self.known = known

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return (
            f"no process has ever run actor {self.queue!r}; this app has: {known}."
            " Correct the name, or start an app that has this actor."
        )


@define(eq=False)
class Posting:
    """Sends what callers outside of any turn want sent."""

    parts: Parts
    _served: set[str] = field(factory=set[str])
    sender: Sender = field(init=False)
    depths: Depths = field(init=False)

    def __attrs_post_init__(self) -> None:
        parts = self.parts
        self.depths = Depths(parts.store, parts.app.limits.depth)
        self.sender = Sender(parts.app, parts.store.partitions, parts.app.limits.payload)

    async def send(self, effects: Sequence[Tell | Enqueue], ours: Mapping[str, str], connection: Any) -> None:
        """Send messages in one transaction: the caller's, if a connection is given.

        Args:
            effects: What to send.
            ours: Headers of the runtime's own.
            connection: The caller's, or None.
        """
        now, later = self.sender.rows(effects, None, ours)
        for queue in {effect.queue for effect in effects} - self._served:
            if not await self.is_served(queue):
                _log.warning("no process has ever run %r: what is sent to it waits in the mailbox", queue)
                self._served.add(queue)  # said once
        if connection is None:
            await self.commit(now, later)
            return
        await self.depths.admit(now)
        rings = sorted({row.queue for row in now})
        await self.parts.store.send(connection, now, later, rings)
        self.parts.count.note_elsewhere(rings, connection)

    async def is_served(self, queue: str) -> bool:
        """Say whether this app, or another that uses the store, has ever run a queue."""
        if queue in self.parts.app.queues or queue in self._served or await self.parts.store.served(queue):
            self._served.add(queue)
            return True
        return False

    async def commit(self, sends: Sequence[SendRow], rare: Sequence[Rare]) -> None:
        """Let the writer commit some rows, and wait until it has.

        Raises:
            QueueFull: A queue has no room for them.
            NotRunning: The writer takes nothing any more.
        """
        await self.depths.admit(sends)
        origin, verdicts = trio.open_memory_channel[Settled](1)
        lineage = Lineage()
        try:
            self.parts.outbox.send_nowait((Finished(origin, sends=sends, rare=rare, lineage=lineage),))
        except trio.BrokenResourceError:
            raise NotRunning("the runtime has ended; this was not sent") from None
        try:
            settled = await verdicts.receive()
        except trio.Cancelled:
            lineage.void = True  # the writer passes over it, if it has not begun
            raise
        if settled.verdict is not Verdict.COMMITTED:
            raise settled.error or OutcomeUnknown(f"the send ended as {settled.verdict.value}")
