"""The scheduler: moves messages into the mailbox when they are due, and sleeps exactly until then."""

from __future__ import annotations

from typing import final

import trio
from attrs import define

from .._settings import Settings
from ..contract import Store
from ._signals import FetcherSignal, Look

MOST = 1000
"""Messages moved in one transaction."""


@final
@define(eq=False)
class Scheduler:
    """Promotes due messages for the whole database; several processes may do so side by side."""

    store: Store
    settings: Settings
    fetcher: trio.MemorySendChannel[FetcherSignal]
    inbox: trio.MemoryReceiveChannel[None]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Promote until cancelled; it is ready once it has.

        Else each try would count as health, however long it waited for a server that does not answer.
        """
        while True:
            due = await self.store.promote_due(MOST)
            task_status.started()
            if due.queues:
                self.fetcher.send_nowait(Look())
            rest = self.settings.poll_interval
            if due.next_due is not None:
                rest = min(rest, max(0.0, due.next_due))
            with trio.move_on_after(rest):
                await self.inbox.receive()
