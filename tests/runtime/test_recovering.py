"""Recovery in bounded steps: however many actors are cold, and however long their journals are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

import understudy as us
from tests.runtime.apps import Account, Deposit
from understudy.runtime import MemoryStore
from understudy.runtime._rows import Stream
from understudy.runtime._store import Store


@define(eq=False)
class Watched:
    """A store that counts the events of each load."""

    real: Store
    loads: list[int] = field(factory=list[int])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def load(
        self, actor: str, state_version: int, after: Mapping[str, int | None], most: int
    ) -> Mapping[str, Stream]:
        """Load, and note how much it was."""
        streams = await self.real.load(actor, state_version, after, most)
        self.loads.append(sum(len(stream.events) for stream in streams.values()))
        return streams


async def test_one_load_is_bounded_whatever_is_cold() -> None:
    """A hundred long journals are read in pages that together have a bound, and every state is right."""
    store: Any = Watched(MemoryStore())
    keys = [f"k{number}" for number in range(100)]
    app = us.App("app", actors=[Account])
    async with us.open_runtime(app, database=store) as runtime:
        sends: Sequence[us.Tell] = [us.Tell(Account, key, Deposit(1)) for key in keys for _ in range(250)]
        await runtime.send(*sends)
        await runtime.wait_idle()
        store.loads.clear()
        states = await runtime.read_many(Account, keys)
    assert [250] * 100 == [states[key].balance for key in keys]
    assert sum(store.loads) == 25_000
    assert max(store.loads) <= 10_000
