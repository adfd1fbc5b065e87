"""The scheduler: moves messages into the mailbox when they are due, and sleeps exactly until then."""

from __future__ import annotations

from typing import final

import trio
from attrs import define, field

from .._settings import Settings
from ..contract import Store
from ._clock import StoreClock
from ._signals import FetcherSignal, Look

MOST = 1000
"""Messages moved in one transaction."""


@final
@define(eq=False)
class Scheduler:
    """Promotes due messages for the whole database; every process has one, and one at a time does it.

    It keeps the next time at which something is due: a message that is due after that costs nothing.
    """

    store: Store
    settings: Settings
    fetcher: trio.MemorySendChannel[FetcherSignal]
    clock: StoreClock
    _next: float = float("inf")
    _sooner: trio.Event = field(factory=trio.Event)

    def expect(self, due: float | None = None) -> None:
        """Something is due at that time of the store's, in seconds since the epoch; None: look at once."""
        at = trio.current_time() if due is None else self.clock.when(due)
        if at < self._next:
            self._next = at
            self._sooner.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Promote until cancelled; it is ready once it has.

        Else each try would count as health, however long it waited for a server that does not answer.
        """
        while True:
            self._next = float("inf")  # what is said from here on may be missing in the answer
            due = await self.store.promote_due(MOST)
            task_status.started()
            if due.queues:
                self.fetcher.send_nowait(Look())
            rest = self.settings.poll_interval
            if due.next_due is not None:
                rest = min(rest, max(0.0, due.next_due))
            self._next = min(self._next, trio.current_time() + rest)
            while trio.current_time() < self._next:
                self._sooner = trio.Event()
                with trio.move_on_at(self._next):
                    await self._sooner.wait()
