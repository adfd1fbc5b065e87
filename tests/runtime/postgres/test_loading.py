"""Loading streams: large events and snapshots are found out by indexes, and their bytes are counted."""

from random import Random

from rolebook.runtime import Settings
from rolebook.runtime.postgres import open_store
from tests.stores import event_row, finished, open_process, snapshot_part


async def test_bytes_are_counted_where_events_are_large(migrated_url: str) -> None:
    """Though PostgreSQL stores them in a fraction of their bytes, and out of line none."""
    async with open_store(migrated_url, Settings(), "me") as store, open_process(store) as one:
        packed = [f'"{"x" * 100_000}"' for _ in range(6)]
        await one.commit(
            finished(events=[event_row(seq, payload=text) for seq, text in enumerate(packed, 1)])
        )
        stream = (await store.load("account", 1, {"a": None}, 10, 300_000))["a"]
        assert [1, 2] == [seq for seq, *_ in stream.events]
        assert (6, True) == (stream.newest, stream.cut)
        others = [event_row(seq, "b") for seq in range(1, 50)]
        await one.commit(finished(events=others))
        stream = (await store.load("account", 1, {"b": None}, 100, 300_000))["b"]
        assert 49 == len(stream.events)


async def test_small_events_are_bounded_by_their_number(migrated_url: str) -> None:
    """So many that each could have 1,600 bytes; nothing is added up for that."""
    async with open_store(migrated_url, Settings(), "me") as store, open_process(store) as one:
        await one.commit(finished(events=[event_row(seq) for seq in range(1, 50)]))
        stream = (await store.load("account", 1, {"a": None}, 100, 16_000 + 20 * 1_600))["a"]
        assert list(range(1, 21)) == [seq for seq, *_ in stream.events]


async def test_large_snapshots_are_counted_too(migrated_url: str) -> None:
    """One of many actors' snapshots comes in any case, and the others as far as there is room."""
    async with open_store(migrated_url, Settings(), "me") as store, open_process(store) as one:
        state = f'"{Random(1).randbytes(50_000).hex()}"'
        for key in "abc":
            part = snapshot_part(1, key=key, state=state)
            await one.commit(finished(events=[event_row(1, key)], parts=[part]))
        for most, keys in ((1, "a"), (150_000, "a"), (250_000, "ab"), (1_000_000, "abc")):
            streams = await store.load("account", 1, dict.fromkeys("abc"), 10, most)
            assert list(keys) == [key for key, stream in streams.items() if stream.snapshot is not None]
