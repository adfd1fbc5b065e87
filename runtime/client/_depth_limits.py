"""The bound of a queue's depth, and how senders are held to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import final

import trio
from attrs import define, field

from rolebook.actors import RolebookError

from ..contract import SendRow, Store

FRESH = 1.0
"""Seconds for which a count is believed, as long as it leaves room."""
AGAIN = 0.1
"""Seconds after which a full queue is counted anew."""


@final
class QueueFull(RolebookError):
    """A queue holds as many messages as the app's `Limits(depth=...)` allow; nothing was sent.

    Args:
        queue: Its name.
        depth: How many messages it held when they were last counted; counted no further than the limit.
        limit: How many it may hold.
    """

    def __init__(self, queue: str, depth: int, limit: int) -> None:
        super().__init__(queue, depth, limit)
        self.queue = queue
        self.depth = depth
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"queue {self.queue!r} holds {self.depth:,} messages, and its limit is {self.limit:,}: send"
            " again later, run more processes, or raise App(limits=Limits(depth=...))"
        )


@define(eq=False)
class _Estimate:
    depth: int
    counted_at: float


@final
@define(eq=False)
class DepthLimits:
    """What this process knows of the depth of the queues it sends to.

    It is an estimate: what the database counted, at most `FRESH` seconds ago, and what this process has sent
    since. What other processes sent meanwhile is missing, so that the limit may be exceeded by that much;
    what was handled meanwhile is not subtracted, but nobody is refused without a new count.
    """

    store: Store
    limit: int | None
    _known: dict[str, _Estimate] = field(factory=dict[str, _Estimate])

    async def admit(self, sends: Sequence[SendRow]) -> None:
        """Let some messages through, or refuse them all.

        Raises:
            QueueFull: One of their queues has no room for them.
        """
        if self.limit is None:
            return
        for queue, count in Counter(send.queue for send in sends).items():
            known = await self._estimate(queue, count, self.limit)
            if known.depth + count > self.limit:
                raise QueueFull(queue, known.depth, self.limit)
            known.depth += count

    async def _estimate(self, queue: str, count: int, limit: int) -> _Estimate:
        known = self._known.get(queue)
        now = trio.current_time()
        if known is not None and now < known.counted_at + (FRESH if known.depth + count <= limit else AGAIN):
            return known
        counted = await self.store.depth(queue, limit)
        known = self._known[queue] = _Estimate(counted, trio.current_time())
        return known
