"""Who owns a partition, and what an owner that was replaced can still do."""

import psycopg
import pytest
import trio

from rolebook.runtime.contract import Committed, Conflict, Fence
from rolebook.runtime.memory._sessions import SessionEnded
from tests.stores import PARTITIONS, QUEUE, Bench, finished, life_of, open_process, send_row, take_all


async def test_the_first_owns_everything(bench: Bench) -> None:
    """The only process owns every partition of its queue, each at its first epoch."""
    async with open_process(bench.store) as one:
        assert {p: Fence(QUEUE, p, 1, one.session.nonce) for p in range(PARTITIONS)} == one.fences


async def test_nothing_to_take_before_the_queue_is_known(bench: Bench) -> None:
    """Partitions exist once a handler's queue was prepared; preparing twice changes nothing."""
    async with bench.store.open_fetch_session("one", life_of("one")) as session:
        assert await take_all(session) == []
        await session.prepare([QUEUE, "other"])
        await session.prepare([QUEUE])
        assert {QUEUE, "other"} == {
            taken.fence.queue
            for taken in await session.take([(name, 0) for name in (QUEUE, "other", "none")])
        }


async def test_a_partition_has_one_owner(bench: Bench) -> None:
    """What one process owns another does not get."""
    async with open_process(bench.store), open_process(bench.store, "two") as two:
        assert two.fences == {}


async def test_what_is_held_is_not_taken_again(bench: Bench) -> None:
    """A second look for free partitions leaves the ones we have as they are."""
    async with open_process(bench.store) as one:
        assert await one.session.take([(QUEUE, partition) for partition in one.fences]) == []


async def test_released_partitions_change_hands(bench: Bench) -> None:
    """A partition given back can be taken by another, at a higher epoch; the rest stays."""
    async with open_process(bench.store) as one, open_process(bench.store, "two") as two:
        await one.session.release([one.fences[2]])
        assert [Fence(QUEUE, 2, 2, two.session.nonce)] == await take_all(two.session)
        assert await take_all(one.session) == []


async def test_a_closed_session_owns_nothing(bench: Bench) -> None:
    """Ownership ends with the session, and the next owner's epoch is higher."""
    async with open_process(bench.store):
        pass
    await bench.sessions_ended()
    async with open_process(bench.store, "two") as two:
        assert {2} == {fence.epoch for fence in two.fences.values()}


async def test_an_owner_whose_session_was_ended_is_replaced(bench: Bench) -> None:
    """When the server ends a session what it owned is free, and using it is an error."""
    async with bench.store.open_fetch_session("frozen", life_of("frozen")) as session:
        await session.prepare([QUEUE])
        await take_all(session)
        await bench.end_session("frozen")
        async with open_process(bench.store, "two") as two:
            assert len(two.fences) == PARTITIONS
            # Each store has an error of its own for a lost session.
            with pytest.raises(
                (SessionEnded, psycopg.OperationalError), match=r"ended|terminating connection"
            ):
                await take_all(session)


async def test_a_stale_owner_commits_nothing(bench: Bench) -> None:
    """Once another has taken the partition, what the old owner computed is refused whole."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1, "a"), send_row(2, "b"))
        first, second = await one.messages()
        assert first.partition != second.partition
        await one.session.release([first.fence])
        async with open_process(bench.store, "two") as two:
            assert [first.partition] == list(two.fences)
            stale = finished(fence=first.fence, consumed=first)
            current = finished(fence=second.fence, consumed=second, sends=[send_row(3)])
            answer = await one.commit(stale, current)
            assert Conflict(stale=frozenset({(QUEUE, first.partition)})) == answer
            assert [int(message.payload) for message in await two.messages()] == [1, 2]
            assert Committed() == await one.commit(current)


async def test_what_was_given_back_is_nobodys(bench: Bench) -> None:
    """Whoever gave a partition back has no right to it any more, even if nobody has taken it."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        await one.session.release([message.fence])
        late = await one.commit(finished(fence=message.fence, consumed=message))
        assert Conflict(stale=frozenset({(QUEUE, message.partition)})) == late


async def test_processes_that_start_together_share_without_overlap(bench: Bench) -> None:
    """However many take at the same time, each partition gets exactly one owner."""
    taken: list[Fence] = []
    tried: list[str] = []
    all_tried = trio.Event()

    async def start(name: str) -> None:
        async with bench.store.open_fetch_session(name, life_of(name)) as session:
            await session.prepare([QUEUE])
            taken.extend(await take_all(session))
            tried.append(name)
            if len(tried) == 3:
                all_tried.set()
            await all_tried.wait()  # who left earlier would let others take what it had

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for name in ("one", "two", "three"):
                nursery.start_soon(start, name)
    assert list(range(PARTITIONS)) == sorted(fence.partition for fence in taken)
    assert {1} == {fence.epoch for fence in taken}
