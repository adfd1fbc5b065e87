"""What every handler of a runtime works with."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import trio
from attrs import frozen

from rolebook.actors import App

from ._clock import StoreClock
from ._finished import Finished, Totals
from ._settings import Settings
from ._signals import FetcherSignal
from ._store import Store


@frozen
class Tools:
    """What every handler of a runtime works with.

    Attributes:
        outbox: To the writer.
        fetcher: To the fetcher.
        random: The dice for the jitter of retries.
        totals: What was committed, counted.
    """

    app: App
    store: Store
    settings: Settings
    clock: StoreClock
    outbox: trio.MemorySendChannel[Sequence[Finished]]
    fetcher: trio.MemorySendChannel[FetcherSignal]
    random: Random
    totals: Totals
