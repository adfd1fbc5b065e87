"""Bounds in bytes: one read brings so many of them at most, or one message or event that is larger, alone."""

from __future__ import annotations

from random import Random

import pytest

from rolebook.runtime.contract import Lane, SendRow
from tests.stores import (
    EVERYWHERE,
    QUEUE,
    Bench,
    Reader,
    event_row,
    finished,
    open_process,
    send_row,
    snapshot_part,
)

MOST = 400_000
OTHER = 300
"""Bytes of a message beside its payload, at most."""


def text_of(size: int, *, packs: bool = False) -> str:
    """A payload of so many bytes, which can be compressed to a hundredth, or not at all."""
    return f'"{"x" * (size - 2) if packs else Random(size).randbytes(size // 2).hex()[: size - 2]}"'


async def read(reader: Reader, room: int = 100, most: int = MOST) -> list[list[str]]:
    """One read; the payloads of each lane."""
    rows = await reader.read_lanes(room, most)
    assert sum(len(row.payload) for its in rows for row in its) <= most or sum(map(len, rows)) == 1
    return [[row.payload for row in its] for its in rows]


async def read_all(reader: Reader, room: int = 100, most: int = MOST) -> dict[Lane, list[str]]:
    """Read until every lane has caught up, each read beginning with another of them."""
    found: dict[Lane, list[str]] = {cursor.lane: [] for cursor in reader.cursors}
    for _ in range(200):
        lanes = [cursor.lane for cursor in reader.cursors]
        for lane, payloads in zip(lanes, await read(reader, room, most), strict=True):
            found[lane] += payloads
        if all(cursor.caught_up for cursor in reader.cursors):
            break
        reader.cursors = [*reader.cursors[1:], reader.cursors[0]]
    return found


ONE_LANE = Lane(QUEUE, 0, EVERYWHERE)


@pytest.mark.parametrize("packs", [False, True])
async def test_a_read_is_bounded_in_bytes(bench: Bench, *, packs: bool) -> None:
    """In bytes as they are transferred, though they may be stored in a fraction of them."""
    payloads = [text_of(100_000 + number, packs=packs) for number in range(10)]
    async with open_process(bench.store) as one:
        await one.send(*(message(payload) for payload in payloads))
        lanes = Reader(one.session, ONE_LANE)
        assert [payloads[:3]] == await read(lanes)
        assert not lanes.cursors[0].caught_up
        assert [payloads[3:]] == list((await read_all(lanes)).values())


async def test_small_and_huge_ones_mixed_keep_their_order(bench: Bench) -> None:
    """Nothing is skipped or doubled, whatever the bound, and whatever the lanes are."""
    dice = Random(7)
    sizes = [dice.choice((10, 100, 3_000, 50_000, 500_000)) for _ in range(40)]
    payloads = [text_of(size + number) for number, size in enumerate(sizes)]
    rows = [
        message(payload, key=f"k{number}", priority=number % 3 - 1) for number, payload in enumerate(payloads)
    ]
    async with open_process(bench.store) as one:
        for start in range(0, len(rows), 8):
            await one.send(*rows[start : start + 8])
        for room in (100, 3):
            for most in (1, 60_000, MOST, 1 << 30):
                wanted = [Lane(QUEUE, priority, run) for priority in (1, 0, -1) for run in RUNS]
                found = await read_all(Reader(one.session, *wanted), room, most)
                for lane in wanted:
                    its = [
                        row.payload
                        for row in rows
                        if row.priority == lane.priority and row.partition in lane.partitions
                    ]
                    assert its == found[lane]


RUNS = (range(2), range(2, 4))


async def test_a_huge_one_comes_alone(bench: Bench) -> None:
    """If it is the first; otherwise it waits for the next read. Nothing passes it in its lane."""
    small, huge = text_of(100), text_of(MOST + 1)
    async with open_process(bench.store) as one:
        await one.send(*map(message, (huge, small, small, huge, small)))
        lanes = Reader(one.session, ONE_LANE)
        assert [[huge]] == await read(lanes)
        assert [[small, small]] == await read(lanes)
        assert [[huge]] == await read(lanes)
        assert [[small]] == await read(lanes)


async def test_lanes_share_one_bound(bench: Bench) -> None:
    """Who comes first has it all; those behind have lost nothing, and have not caught up."""
    large, small = text_of(MOST // 2 - OTHER), text_of(100)
    async with open_process(bench.store) as one:
        await one.send(*(message(large, priority=1) for _ in range(3)))
        await one.send(message(small), message(small, priority=-1))
        lanes = Reader(one.session, *(Lane(QUEUE, priority, EVERYWHERE) for priority in (1, 0, -1)))
        assert [[large, large], [], []] == await read(lanes)
        assert not any(cursor.caught_up for cursor in lanes.cursors)
        assert [[large], [small], [small]] == await read(lanes)
        assert all(cursor.caught_up for cursor in lanes.cursors)


async def test_what_arrives_meanwhile_is_read_once(bench: Bench) -> None:
    """A lane that was cut before its first row reads all the same what was running, and what came later."""
    large, small = text_of(MOST - 20), text_of(100)
    async with open_process(bench.store) as one:
        client = await bench.begin()
        await bench.store.send(client.connection, [message(small)], [], [])
        await one.send(message(large, priority=1), message(text_of(200)))
        lanes = Reader(one.session, *(Lane(QUEUE, priority, EVERYWHERE) for priority in (1, 0)))
        assert [[large], []] == await read(lanes)
        await client.commit()
        await one.send(message(text_of(300)))
        urgent, usual = (await read_all(lanes)).values()
        assert ([], [small, text_of(200), text_of(300)]) == (urgent, sorted(usual, key=len))


async def test_small_ones_are_bounded_too(bench: Bench) -> None:
    """By their number, with what one of them has at most; all of them come in the end."""
    async with open_process(bench.store) as one:
        await one.send(*(message(str(number), key=f"k{number}") for number in range(300)))
        lanes = Reader(one.session, *(Lane(QUEUE, 0, range(place, place + 1)) for place in range(4)))
        first = await read(lanes, 100, 20_000)
        found = list((await read_all(lanes, 100, 20_000)).values())
        whole = [a + b for a, b in zip(first, found, strict=True)]
        assert sorted(int(payload) for its in whole for payload in its) == list(range(300))
        assert all(sorted(its, key=int) == its for its in whole)


# ---- journals ----


@pytest.mark.parametrize("packs", [False, True])
async def test_a_load_is_bounded_in_bytes(bench: Bench, *, packs: bool) -> None:
    """All its streams together; each has a share, one event at least, and the rest comes later."""
    async with open_process(bench.store) as one:
        keys = [f"k{number}" for number in range(6)]
        events = [
            event_row(seq, key, payload=text_of(60_000, packs=packs)) for key in keys for seq in (1, 2, 3)
        ]
        await one.commit(finished(events=events))
        after: dict[str, int | None] = dict.fromkeys(keys)
        got: dict[str, list[int]] = {key: [] for key in keys}
        for _ in range(20):
            if not after:
                break
            streams = await bench.store.load("account", 1, after, 10, 250_000)
            size = sum(len(event[3]) for stream in streams.values() for event in stream.events)
            assert 0 < size <= 250_000
            for key, stream in streams.items():
                got[key] += [seq for seq, *_ in stream.events]
                assert stream.newest == 3
                assert stream.events or stream.cut
                after[key] = got[key][-1] if got[key] else after[key]
            after = {key: after[key] for key in [*after][1:] + [*after][:1] if got[key] != [1, 2, 3]}
        assert got == {key: [1, 2, 3] for key in keys}


async def test_a_huge_event_comes_alone(bench: Bench) -> None:
    """Or a snapshot: what is behind it has to wait."""
    async with open_process(bench.store) as one:
        await one.commit(
            finished(
                events=[event_row(1, "a", payload=text_of(300_000)), event_row(2, "a"), event_row(1, "b")]
            ),
            finished(events=[event_row(1, "c"), event_row(2, "c")]),
        )
        await one.commit(finished(parts=[snapshot_part(1, key="c", state=text_of(200_000))]))
        streams = await bench.store.load("account", 1, {"a": None, "b": None}, 10, 100_000)
        assert [1] == [seq for seq, *_ in streams["a"].events]
        assert "b" not in streams or streams["b"].cut
        (c,) = (await bench.store.load("account", 1, {"c": None}, 10, 100_000)).values()
        assert c.snapshot is not None
        assert ([], True) == (list(c.events), c.cut)
        (c,) = (await bench.store.load("account", 1, {"c": 1}, 10, 100_000)).values()
        assert ([2], False) == ([seq for seq, *_ in c.events], c.cut)


@pytest.mark.parametrize("packs", [False, True])
async def test_a_page_of_a_journal_is_bounded_in_bytes(bench: Bench, *, packs: bool) -> None:
    """As a load is; a page says whether there may be more."""
    async with open_process(bench.store) as one:
        sizes = [60_000, 100, 300_000, 100, 60_000, 60_000]
        events = [event_row(n, payload=text_of(size, packs=packs)) for n, size in enumerate(sizes, 1)]
        await one.commit(finished(events=events))
        pages, after, more = list[list[int]](), 0, True
        while more:
            page = await bench.store.read_events("account", "a", after, 10, 130_000)
            assert len(page.events) == 1 or sum(len(event.payload) for event in page.events) <= 130_000
            pages.append([event.seq for event in page.events])
            after, more = pages[-1][-1], page.more
        assert [1, 2, 3, 4, 5, 6] == [seq for page in pages for seq in page]
        assert [3] in pages


def message(payload: str, key: str = "k", priority: int = 0) -> SendRow:
    """A message with some payload."""
    return send_row(0, key, priority=priority)._replace(payload=payload)
