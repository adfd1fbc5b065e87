"""Recovery in bounded steps: however many actors are cold, and however long their journals are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import MemoryStore
from rolebook.runtime.contract import Store, Stream
from tests.runtime.apps import Account, Deposit


@define(eq=False)
class Watched:
    """A store that counts the events of each load, which takes some seconds."""

    real: Store
    takes: float = 0.0
    loads: list[int] = field(factory=list[int])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def load(
        self, actor: str, state_version: int, after: Mapping[str, int | None], most: int, most_bytes: int
    ) -> Mapping[str, Stream]:
        """Load, and note how much it was."""
        await trio.sleep(self.takes)
        streams = await self.real.load(actor, state_version, after, most, most_bytes)
        self.loads.append(sum(len(stream.events) for stream in streams.values()))
        return streams


async def test_one_load_is_bounded_whatever_is_cold() -> None:
    """A hundred long journals are read in pages that together have a bound, and every state is right."""
    store: Any = Watched(MemoryStore())
    keys = [f"k{number}" for number in range(100)]
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=store) as runtime:
        sends: Sequence[rb.Tell] = [rb.Tell(Account, key, Deposit(1)) for key in keys for _ in range(250)]
        await runtime.send(*sends)
        await runtime.wait_idle()
        store.loads.clear()
        states = await runtime.read_many(Account, keys)
    assert [250] * 100 == [states[key].balance for key in keys]
    assert sum(store.loads) == 25_000
    assert max(store.loads) <= 10_000


async def test_a_long_journal_keeps_no_other_actor_waiting(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """It is read page by page; what comes for others meanwhile is handled between two pages."""
    monkeypatch.setattr("rolebook.runtime.contract._replay.EVENTS", 10)
    real = MemoryStore()
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=real) as runtime:
        await runtime.send(*[rb.Tell(Account, "long", Deposit(1)) for _ in range(1000)])
        await runtime.wait_idle()

    times: dict[str, float] = {}

    async def ask(key: str) -> None:
        assert await runtime.ask(Account, key, Deposit(1)) == (1001 if key == "long" else 1)
        times[key] = trio.current_time() - start

    store: Any = Watched(real, takes=1)
    async with rb.open_runtime(app, database=store) as runtime, trio.open_nursery() as nursery:
        start = trio.current_time()
        for key in ("long", "short", "also short"):
            nursery.start_soon(ask, key)
            await trio.sleep(5.5)
    assert times["long"] >= 100
    assert max(times["short"], times["also short"] - 5.5) <= 12
