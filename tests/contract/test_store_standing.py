"""What a commit and a load stand on: a session that lives, and a journal that is as it was."""

from __future__ import annotations

import pytest

from rolebook.runtime.contract import Committed, Conflict, Elsewhere, Lineage, Outdated
from tests.stores import Bench, event_row, fetching, finished, life_of, open_process, send_row, snapshot_part

ELSEWHERE = Conflict(elsewhere=True)


async def test_nothing_is_committed_on_a_session_that_has_ended(bench: Bench) -> None:
    """Neither turns nor sends that name it: whatever server this is, it is not that session's."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        nonce = one.session.nonce
        turn = finished(fence=message.fence, consumed=message, events=[event_row(1)])
        await bench.end_session("one")
        async with open_process(bench.store, "two") as two:
            assert ELSEWHERE == await two.writer.commit([turn], [], nonce)
            assert ELSEWHERE == await two.writer.commit([finished(sends=[send_row(2)])], [], nonce)
            assert ["1"] == [each.payload for each in await two.messages()]
            assert [] == (await bench.store.read_events("account", "a", 0, 10)).events


async def test_what_stands_on_no_session_is_committed_anywhere(bench: Bench) -> None:
    """A process that owns nothing can send."""
    async with open_process(bench.store) as one:
        assert Committed() == await one.writer.commit([finished(sends=[send_row(1)])], [], None)


async def test_a_load_proves_where_it_reads(bench: Bench) -> None:
    """It reads while the session lives that is named, and whenever none is named; else nothing at all."""
    async with open_process(bench.store) as one:
        await one.commit(finished(events=[event_row(1)]))
    async with fetching(bench, "two") as session:
        nonce = session.nonce
        assert 1 == (await bench.store.load("account", 1, {"a": None}, 10, nonce=nonce))["a"].newest
    with pytest.raises(Elsewhere):
        await bench.store.load("account", 1, {"a": None}, 10, nonce=nonce)
    assert 1 == (await bench.store.load("account", 1, {"a": None}, 10))["a"].newest


async def test_who_only_listens_can_prove_where_it_is(bench: Bench) -> None:
    """The number of a listening session counts as that of an owning one does."""
    async with (
        bench.store.open_write_session() as writer,
        bench.store.open_listen_session(life_of("ear")) as ear,
    ):
        nonce = await ear.prove()
        assert Committed() == await writer.commit([finished(sends=[send_row(1)])], [], nonce)


async def test_a_turn_needs_the_event_that_it_stands_on(bench: Bench) -> None:
    """What a lineage stores first goes behind the event that its actor was loaded up to, or nowhere."""
    async with open_process(bench.store) as one:
        await one.commit(finished(events=[event_row(1), event_row(2)]))
        gone = finished(events=[event_row(4)], lineage=Lineage(), sends=[send_row(1)])
        assert Outdated() == await one.commit(gone, finished(events=[event_row(1, "b")], lineage=Lineage()))
        assert Committed() == await one.commit(finished(events=[event_row(3)], lineage=Lineage()))
        assert [1, 2, 3] == [
            each.seq for each in (await bench.store.read_events("account", "a", 0, 10)).events
        ]
        assert [] == (await bench.store.read_events("account", "b", 0, 10)).events
        assert [] == await one.messages()


async def test_a_lineage_that_was_proven_is_not_asked_again(bench: Bench) -> None:
    """That its journal is there was found at its first turn; the next stand on that."""
    async with open_process(bench.store) as one:
        lineage = Lineage(proven=True)
        assert Committed() == await one.commit(finished(events=[event_row(7)], lineage=lineage))


async def test_a_snapshot_that_is_ahead_goes_with_the_first_turn(bench: Bench) -> None:
    """What is stored in these places from now on is not in it."""
    async with open_process(bench.store) as one:
        await one.commit(finished(events=[event_row(1)], parts=[snapshot_part(3)]))
        await one.commit(finished(events=[event_row(2)], lineage=Lineage()))
        await one.commit(finished(events=[event_row(3), event_row(4)]))
        stream = (await bench.store.load("account", 1, {"a": None}, 10))["a"]
        assert stream.snapshot is None
        assert [1, 2, 3, 4] == [seq for seq, *_ in stream.events]
