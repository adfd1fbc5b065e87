"""Ownership and commits that meet: what the locks of the server decide."""

from __future__ import annotations

import psycopg
import pytest
import trio
from attrs import evolve

from rolebook.runtime.contract import Committed, Conflict, Fence
from tests.stores import (
    PARTITIONS,
    QUEUE,
    SETTINGS,
    event_row,
    execute,
    finished,
    life_of,
    open_postgres_bench,
    open_process,
    send_row,
    take_all,
)

WAITING = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'commit_batch'"


async def test_a_partition_is_not_taken_while_a_commit_is_under_way(migrated_url: str) -> None:
    """Its successor waits for no lock; it gets it after the last commit of its former owner."""
    async with open_postgres_bench(migrated_url) as bench, open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        blocker = await bench.connect("blocker")
        await execute(blocker, "begin")
        await execute(blocker, "lock table rolebook.events in share row exclusive mode")
        answers: list[object] = []
        turn = finished(fence=message.fence, consumed=message, events=[event_row(1)])

        async def commit() -> None:
            answers.append(await one.commit(turn))

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(commit)
                watcher = await bench.connect("watcher")
                while not await execute(watcher, WAITING):
                    pass
                await bench.end_session("one")
                async with open_process(bench.store, "two") as two:
                    assert two.fences.keys() == set(range(PARTITIONS)) - {message.partition}
                    assert not answers
                    await execute(blocker, "commit")
                    taken = list[Fence]()
                    while not taken:
                        taken = await take_all(two.session)
                    assert [message.partition] == [fence.partition for fence in taken]
                    # Its commit is in the database by now; its answer may be on the way to it.
                    assert await two.messages() == []
        assert answers == [Committed()]


async def test_a_commit_that_comes_after_its_successor_is_void(migrated_url: str) -> None:
    """The other order: the partition has changed hands when the commit of its former owner arrives."""
    async with open_postgres_bench(migrated_url) as bench, open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        await bench.end_session("one")
        async with open_process(bench.store, "two"):
            late = finished(fence=message.fence, consumed=message, events=[event_row(1)])
            assert await one.commit(late) == Conflict(elsewhere=True)


async def test_a_right_that_was_taken_with_its_session_alive_is_void(migrated_url: str) -> None:
    """Whoever has changed the row of a partition, its former owner is told, whose session still lives."""
    async with open_postgres_bench(migrated_url) as bench, open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        thief = await bench.connect("thief")
        await thief.execute("update rolebook.partitions set epoch = epoch + 1")
        turn = finished(fence=message.fence, consumed=message, events=[event_row(1)])
        assert await one.commit(turn) == Conflict(stale=frozenset({(QUEUE, message.partition)}))
        await thief.execute("update rolebook.partitions set epoch = epoch - 1, nonce = nonce - 1")
        assert await one.commit(turn) == Conflict(stale=frozenset({(QUEUE, message.partition)}))


async def test_the_server_ends_the_session_of_a_frozen_owner(migrated_url: str) -> None:
    """A process that says nothing for `idle_session_timeout` owns nothing any more."""
    settings = evolve(SETTINGS, idle_session_timeout=0.2)
    async with open_postgres_bench(migrated_url, settings) as bench:
        async with bench.store.open_fetch_session("frozen", life_of("frozen")) as frozen:
            await frozen.prepare([QUEUE])
            assert len(await take_all(frozen)) == PARTITIONS
            async with bench.store.open_fetch_session("two", life_of("two")) as two:
                taken = list[Fence]()
                with trio.fail_after(10):
                    while len(taken) < PARTITIONS:
                        taken += await take_all(two)
            with pytest.raises(psycopg.OperationalError):
                await frozen.read([], [])
        assert {fence.epoch for fence in taken} == {2}


async def test_what_goes_wrong_in_a_batch_is_named(migrated_url: str) -> None:
    """A batch of two hundred turns one of them of a handled message: the writer learns which."""
    async with open_postgres_bench(migrated_url) as bench, open_process(bench.store) as one:
        await one.send(*(send_row(number, None) for number in range(200)))
        messages = await one.messages()
        await one.commit(finished(fence=messages[7].fence, consumed=messages[7]))
        turns = [finished(fence=message.fence, consumed=message) for message in messages]
        assert await one.commit(*turns) == Conflict(missing=frozenset({messages[7].id}))
        rest = [turn for turn in turns if turn.consumed is not messages[7]]
        assert await one.commit(*rest) == Committed()
        assert await one.messages() == []
