"""Reading the journal back: many actors at once, long ones in pages."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from rolebook.runtime.contract import StoredSnapshot, Stream
from tests.stores import Bench, event_row, finished, open_process, snapshot_part


async def test_an_actor_without_events_is_empty(bench: Bench) -> None:
    """Asking for it is no error, and it is in the answer."""
    assert {"a": Stream(0, None, [])} == await bench.store.load("account", 1, {"a": None}, 10)
    assert (await bench.store.read_events("account", "a", 0, 10)).events == []


async def test_many_actors_are_loaded_at_once(bench: Bench) -> None:
    """Each gets its own events, in order; others of the same name of actor or key get nothing of them."""
    async with open_process(bench.store) as one:
        keys = [f"k{number}" for number in range(30)]
        events = [event_row(seq, key) for seq in (1, 2) for key in keys]
        await one.commit(finished(events=events), finished(events=[event_row(1, "k1", actor="other")]))
        streams = await bench.store.load("account", 1, dict.fromkeys([*keys, "none"]), 10)
        assert {*keys, "none"} == set(streams)
        two = [(seq, "happened", 1, f'{{"seq":{seq}}}') for seq in (1, 2)]
        assert all(Stream(2, None, two) == streams[key] for key in keys)
        assert streams["none"].newest == 0


async def test_a_long_stream_comes_in_pages(bench: Bench) -> None:
    """At most so many events each; the rest after the last sequence number, up to the newest."""
    async with open_process(bench.store) as one:
        await one.commit(finished(events=[event_row(seq) for seq in range(1, 8)]))
        pages: list[list[int]] = []
        after: int | None = None
        while after != 7:
            stream = (await bench.store.load("account", 1, {"a": after}, 3))["a"]
            assert stream.newest == 7
            pages.append([seq for seq, *_ in stream.events])
            after = pages[-1][-1]
        assert pages == [[1, 2, 3], [4, 5, 6], [7]]


@pytest.mark.parametrize("size", [30_000, 300_000])
async def test_a_page_is_bounded_in_bytes(bench: Bench, size: int) -> None:
    """In bytes as they are stored, which may be compressed; one event comes however large it is."""
    dice = Random(1)
    payloads = [f'"{dice.randbytes(size // 2).hex()}"' for _ in range(6)]
    async with open_process(bench.store) as one:
        events = [event_row(seq, payload=payload) for seq, payload in enumerate(payloads, 1)]
        await one.commit(finished(events=events), finished(events=[event_row(seq, "b") for seq in (1, 2)]))
        pages, after = list[list[int]](), 0
        while after != 6:
            streams = await bench.store.load("account", 1, {"a": after, "b": 0}, 5, size * 2)
            pages.append([seq for seq, *_ in streams["a"].events])
            assert [1, 2] == [seq for seq, *_ in streams["b"].events]
            after = pages[-1][-1]
        assert [1, 2, 3, 4, 5, 6] == [seq for page in pages for seq in page]
        assert max(map(len, pages)) <= 4
        assert [[5], [6]] == [
            [seq for seq, *_ in (await bench.store.load("account", 1, {"a": after}, 5, 1))["a"].events]
            for after in (4, 5)
        ]


async def test_a_snapshot_stands_for_what_came_before_it(bench: Bench) -> None:
    """The newest usable snapshot comes with the events after it."""
    async with open_process(bench.store) as one:
        await one.commit(
            finished(events=[event_row(seq) for seq in range(1, 6)], parts=[snapshot_part(3, version=2)])
        )
        stream = (await bench.store.load("account", 2, {"a": None}, 10))["a"]
        assert StoredSnapshot(3, 2, '{"seq":3}') == stream.snapshot
        assert [seq for seq, *_ in stream.events] == [4, 5]


async def test_a_snapshot_of_the_last_event_leaves_none_to_read(bench: Bench) -> None:
    """The stream is its snapshot then, and its newest number says so."""
    async with open_process(bench.store) as one:
        await one.commit(finished(events=[event_row(1)], parts=[snapshot_part(1)]))
        stream = (await bench.store.load("account", 1, {"a": None}, 10))["a"]
        assert (stream.newest, list(stream.events)) == (1, [])
        assert stream.snapshot is not None


async def test_a_snapshot_of_the_future_is_passed_over(bench: Bench) -> None:
    """A state version that this app does not know yet is of no use to it."""
    async with open_process(bench.store) as one:
        events = [event_row(seq) for seq in range(1, 5)]
        await one.commit(
            finished(events=events, parts=[snapshot_part(2, keep=9), snapshot_part(4, keep=9, version=3)])
        )
        stream = (await bench.store.load("account", 1, {"a": None}, 10))["a"]
        assert StoredSnapshot(2, 1, '{"seq":2}') == stream.snapshot
        assert [seq for seq, *_ in stream.events] == [3, 4]


async def test_a_snapshot_beyond_the_journal_is_passed_over(bench: Bench) -> None:
    """The newest number comes from the journal: a snapshot that claims more is wrong."""
    async with open_process(bench.store) as one:
        await one.commit(finished(events=[event_row(1)], parts=[snapshot_part(5)]))
        stream = (await bench.store.load("account", 1, {"a": None}, 10))["a"]
        assert stream.snapshot is None
        assert [seq for seq, *_ in stream.events] == [1]


async def test_after_a_number_there_is_no_snapshot(bench: Bench) -> None:
    """Who says where to start, 0 included, reads events and nothing else."""
    async with open_process(bench.store) as one:
        await one.commit(finished(events=[event_row(1), event_row(2)], parts=[snapshot_part(2)]))
        stream = (await bench.store.load("account", 1, {"a": 0}, 10))["a"]
        assert stream.snapshot is None
        assert [seq for seq, *_ in stream.events] == [1, 2]


async def test_recorded_events_tell_everything(bench: Bench) -> None:
    """The journal's page has type, version, payload, metadata and the time, starting after a number."""
    async with open_process(bench.store) as one:
        before = (await one.session.read([], [])).server_time
        await one.commit(finished(events=[event_row(seq) for seq in (1, 2, 3)]))
        second, third = (await bench.store.read_events("account", "a", 1, 2)).events
        assert (
            second.seq,
            second.type,
            second.version,
            second.payload,
            second.metadata,
        ) == (2, "happened", 1, '{"seq":2}', '{"by":"test"}')
        assert third.seq == 3
        started = datetime.fromtimestamp(before, UTC)
        assert started - timedelta(seconds=1) < third.recorded_at < started + timedelta(seconds=60)
        assert [event.seq for event in (await bench.store.read_events("account", "a", 2, 5)).events] == [3]
        assert [event.seq for event in (await bench.store.read_events("account", "a", 0, 1)).events] == [1]


async def test_the_keys_of_actors_come_in_pages(bench: Bench) -> None:
    """Each actor that has events, once, in order; those that were only asked for are none."""
    async with open_process(bench.store) as one:
        await one.commit(finished(events=[event_row(seq, key) for key in "dbca" for seq in (1, 2)]))
        await one.commit(finished(events=[event_row(1, "x", actor="other")]))
        await bench.store.load("account", 1, {"nobody": None}, 10)
        assert await bench.store.keys("account", "", 3) == ["a", "b", "c"]
        assert await bench.store.keys("account", "c", 3) == ["d"]
        assert await bench.store.keys("account", "d", 3) == []
        assert await bench.store.keys("nobody", "", 3) == []
