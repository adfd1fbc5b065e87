"""The scheduler by itself, over a store that does not answer."""

from __future__ import annotations

from typing import Any

import trio
from attrs import define
from trio.testing import MockClock

import rolebook as rb
from rolebook.actors import Backoff, Child, Supervisor, Tree
from rolebook.actors.supervision import ChildCrashed
from rolebook.runtime import MemoryStore
from rolebook.runtime.contract import Promoted, Store
from rolebook.runtime.system import FetcherSignal, Scheduler


@define(eq=False)
class SilentStore:
    """Everything is the real store's, but what is due is told only after some tries that end in silence."""

    real: Store
    silent: int
    seconds: float

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def promote_due(self, most: int) -> Promoted:
        self.silent -= 1
        if self.silent >= 0:
            await trio.sleep(self.seconds)
            raise trio.TooSlowError
        return await self.real.promote_due(most)

    def as_store(self) -> Store:
        """The same, for type checkers."""
        store: Any = self
        return store  # type: ignore[no-any-return]  # every attribute of a store is there


async def test_a_wait_for_no_answer_is_no_health(autojump_clock: MockClock) -> None:
    """However long a try waits for a server that is silent, the pauses between the tries go on growing."""
    store = SilentStore(MemoryStore(), silent=4, seconds=100).as_store()
    to_fetcher, _inbox = trio.open_memory_channel[FetcherSignal](1)
    _wake, inbox = trio.open_memory_channel[None](1)
    scheduler = Scheduler(store, rb.Settings(), to_fetcher, inbox)
    backoff = Backoff(first=1, healthy_after=60, jitter=0)
    child = Child("scheduler", scheduler.run, start_timeout=None)
    spec = Supervisor("schedules", (child,), max_restarts=None, backoff=backoff)
    attempts: list[int] = []

    async def listen() -> None:
        attempts.extend([event.attempt async for event in events if isinstance(event, ChildCrashed)])

    tree = Tree(spec)
    events = tree.events()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await nursery.start(tree.run)
        tree.request_stop()
    assert attempts == [1, 2, 3, 4]
    assert trio.current_time() == 400 + 1 + 2 + 4 + 8
