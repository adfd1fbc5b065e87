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
from rolebook.runtime.system import FetcherSignal, Scheduler, StoreClock
from tests.runtime.apps import Note


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
    scheduler = Scheduler(store, rb.Settings(), to_fetcher, StoreClock())
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


@define(eq=False)
class CountingStore:
    """Everything is the real store's; how often it is asked for what is due is counted."""

    real: Store
    looks: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def promote_due(self, most: int) -> Promoted:
        self.looks += 1
        return await self.real.promote_due(most)


async def test_what_is_due_later_than_the_next_costs_no_look(autojump_clock: MockClock) -> None:
    """A message for later is a note of its time: the store is asked when something is due."""
    app, handled = rb.App("app"), list[tuple[int, float]]()

    @app.handler("mail")
    async def mail(command: Note) -> None:
        handled.append((command.number, trio.current_time()))

    counting = CountingStore(MemoryStore())
    store: Any = counting
    async with rb.open_runtime(app, database=store, settings=rb.Settings(poll_interval=1000.0)) as runtime:
        began, before = trio.current_time(), counting.looks
        for number in range(50):
            await runtime.enqueue("mail", Note(number), delay=100.0 + number)
        await runtime.enqueue("mail", Note(99), delay=30.0)
        await trio.sleep(10)
        assert counting.looks - before <= 2
        await trio.sleep(290)
    assert [99, *range(50)] == [number for number, _ in handled]
    assert [30, *range(100, 150)] == [round(at - began) for _, at in handled]
    assert counting.looks - before < 2 * 51 + 5
