"""Loading streams: which statement reads them."""

# pyright: reportPrivateUsage=false

from random import Random

from rolebook.runtime import Settings
from rolebook.runtime.postgres import open_store
from tests.stores import event_row, finished, open_process


async def test_bytes_are_counted_where_events_may_be_large(migrated_url: str) -> None:
    """The first load counts them; then they are counted once an event has bytes out of line."""
    async with open_store(migrated_url, Settings(), "me") as store, open_process(store) as one:
        assert store._has_large_events
        await one.commit(finished(events=[event_row(seq) for seq in (1, 2, 3)]))
        for _ in range(2):
            stream = (await store.load("account", 1, {"a": None}, 10, 1_000_000))["a"]
            assert [1, 2, 3] == [seq for seq, *_ in stream.events]
            assert not store._has_large_events
        large = [f'"{Random(seq).randbytes(50_000).hex()}"' for seq in (4, 5, 6)]
        await one.commit(
            finished(events=[event_row(seq, payload=payload) for seq, payload in enumerate(large, 4)])
        )
        await store.load("account", 1, {"nobody": None}, 10)
        assert store._has_large_events
        stream = (await store.load("account", 1, {"a": 3}, 10, 120_000))["a"]
        assert [4] == [seq for seq, *_ in stream.events]
        assert stream.newest == 6
