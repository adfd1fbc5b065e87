"""Memory: what a runtime holds is bounded by its settings, however many actors there are."""

from __future__ import annotations

import gc
import tracemalloc

import trio
import trio.testing
from attrs import define, frozen

import rolebook as rb
from rolebook.runtime import MemoryStore
from rolebook.runtime.contract import partition_of_key
from tests.waiting import eventually

KEYS = 100_000
RESIDENTS = 1_000
BATCH = 2_000


@rb.command("visitor.greet")
@frozen
class Greet(rb.Command[None]):
    name: str


@rb.actor("visitor")
@define
class Visitor:
    """Has a state, and no events: so that the store's own memory does not grow."""

    text: str = "x" * 20

    @rb.decide
    def greet(self, command: Greet) -> None:
        return None


async def test_a_hundred_thousand_actors_in_the_memory_of_a_thousand() -> None:
    """After 100,000 keys no more actors are in memory than the settings say, and no more memory is used.

    Memory is traced for the last fifth only, because tracing is slow: a leak of 20 bytes a key would show.
    """
    settings = rb.Settings(residents=RESIDENTS, mailbox_capacity=BATCH)
    app = rb.App("app", actors=[Visitor])
    most, early, late = 0, 0, 0
    async with rb.open_runtime(app, database=MemoryStore(), settings=settings) as runtime:
        for start in range(0, KEYS, BATCH):
            keys = (f"visitor-{number}" for number in range(start, start + BATCH))
            await runtime.send(*(rb.Tell(Visitor, key, Greet(key)) for key in keys))
            with trio.fail_after(30):
                while await runtime.depths() != {"visitor": 0}:
                    await runtime.wait_idle()
            most = max(most, runtime.statistics().actors["visitor"].residents)
            if start == KEYS - 13 * BATCH:
                # Full it is made anew now and then: what was there before it was traced must not be.
                partition_of_key.cache_clear()
                tracemalloc.start(1)
            elif start == KEYS - 7 * BATCH:
                early = await at_rest(runtime)
        late = await at_rest(runtime)
        tracemalloc.stop()
        statistics = runtime.statistics().actors["visitor"]
    assert most <= RESIDENTS + BATCH
    assert statistics.turns == statistics.recovered == KEYS
    assert statistics.evictions >= KEYS - RESIDENTS - BATCH
    assert statistics.hits == 0
    assert late - early < 6 * BATCH * 20, f"{early:,} bytes early, {late:,} late"


async def at_rest(runtime: rb.Runtime) -> int:
    """What is traced once the handler has taken note of the last commit, and nobody has anything to do."""
    await eventually(lambda: runtime.statistics().actors["visitor"].residents <= RESIDENTS)
    await trio.testing.wait_all_tasks_blocked()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def test_a_needed_actor_stays() -> None:
    """The least recently used leave first: one that is asked all the time is never loaded again."""
    settings = rb.Settings(residents=10)
    app = rb.App("app", actors=[Visitor])
    async with rb.open_runtime(app, database="memory:", settings=settings) as runtime:
        for number in range(100):
            await runtime.ask(Visitor, "often", Greet("again"))
            await runtime.ask(Visitor, f"once-{number}", Greet("first"))
        statistics = runtime.statistics().actors["visitor"]
    assert (statistics.hits, statistics.recovered) == (99, 101)
    assert statistics.evictions >= 90
