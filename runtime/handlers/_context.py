"""What every handler of a runtime works with."""

from __future__ import annotations

from functools import cached_property
from random import Random
from typing import Any, final

import trio
from attrs import frozen

from rolebook.actors import App

from .._settings import Settings
from ..contract import Ending, SendEncoder, Store, Totals
from ..system import CommitQueue, FetcherSignal, Hand, SendCount, Standing, StoreClock

SLICE = 0.005
"""Seconds of work without a wait after which a handler lets other tasks have their turn."""


@final
@frozen
class HandlerContext:
    """What every handler of a runtime works with.

    Attributes:
        outbox: To the writer.
        fetcher: To the fetcher.
        random: The dice for the jitter of retries.
        totals: What was committed, counted.
        count: What this process may have sent.
        workers: The tasks that run handlers of queues.
        hand: What is being handled: for the watch over the loop.
        standing: The session that turns stand on.
        ending: Says when nothing is to begin any more, and how long what has begun may take.
        client: What handlers get as `turn.client`.
    """

    app: App
    store: Store
    settings: Settings
    clock: StoreClock
    outbox: CommitQueue
    fetcher: trio.MemorySendChannel[FetcherSignal]
    random: Random
    totals: Totals
    count: SendCount
    workers: set[trio.lowlevel.Task]
    hand: Hand
    standing: Standing
    ending: Ending
    client: Any = None

    @property
    def room(self) -> tuple[int, int]:
        """For how many messages of one queue there is room, and for how many bytes of them."""
        return self.settings.mailbox_capacity, self.settings.mailbox_bytes

    @cached_property
    def encoder(self) -> SendEncoder:
        """Writes what the handlers send: one for all of them, since it knows every queue of the app."""
        return SendEncoder(self.app, self.store.partitions, self.app.limits.payload)
