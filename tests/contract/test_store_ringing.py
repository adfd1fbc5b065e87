"""The doorbell: hints for whoever listens."""

import time
from datetime import datetime

import pytest
import trio

from rolebook.runtime.contract import OWNERS, Bury, Lane, RetryAsNew, SendLater
from tests.stores import (
    EVERYWHERE,
    QUEUE,
    Bench,
    Reader,
    finished,
    hear,
    life_of,
    numbers,
    open_process,
    retry_part,
    send_row,
    take_all,
)


async def test_a_message_wakes_who_owns_its_partition(bench: Bench) -> None:
    """Nobody else hears of it; equal hints of one commit are one. What moves is said to everybody."""
    async with (
        bench.store.open_listen_session(life_of("one")) as one,
        bench.store.open_listen_session(life_of("two")) as two,
        open_process(bench.store) as process,
        open_process(bench.store, "two", "other") as another,
    ):
        await one.retry()
        await two.retry()
        assert one.listening
        await another.commit(finished(sends=[send_row(1), send_row(2)]), rings=[(QUEUE, 0), (QUEUE, 1)])
        await another.commit(rings=[("other", 3), ("nobody's", 0)])
        await process.session.release([])
        assert await hear(one, OWNERS) == [QUEUE, OWNERS]
        assert await hear(two, OWNERS) == ["other", OWNERS]


async def test_a_new_owner_is_woken_and_the_former_one_is_not(bench: Bench) -> None:
    """From the moment a partition is taken."""
    async with (
        bench.store.open_listen_session(life_of("one")) as one,
        bench.store.open_listen_session(life_of("two")) as two,
        open_process(bench.store) as process,
        open_process(bench.store, "two") as another,
    ):
        await one.retry()
        await two.retry()
        await process.session.release([process.fences[2]])
        await take_all(another.session)
        assert await hear(one, OWNERS) == await hear(two, OWNERS) == [OWNERS]
        await process.commit(rings=[(QUEUE, 2)])
        await process.session.release([])
        assert await hear(one, OWNERS) == [OWNERS]
        assert await hear(two, OWNERS) == [QUEUE, OWNERS]


async def test_who_is_awake_is_not_woken(bench: Bench) -> None:
    """Until it falls asleep again: then it is; the others are all the time."""
    async with (
        bench.store.open_listen_session(life_of("one")) as one,
        bench.store.open_listen_session(life_of("two")) as two,
        open_process(bench.store) as process,
        open_process(bench.store, "two", "other") as another,
    ):
        await one.retry()
        await two.retry()
        for _ in range(2):
            assert await process.session.stay_awake()
            await another.commit(rings=[(QUEUE, 0), ("other", 0)])
            await process.session.release([])
            assert await hear(one, OWNERS) == [OWNERS]
            assert await hear(two, OWNERS) == ["other", OWNERS]
            await process.session.fall_asleep()
            await another.commit(rings=[(QUEUE, 0)])
            await process.session.release([])
            assert await hear(one, OWNERS) == [QUEUE, OWNERS]
            assert await hear(two, OWNERS) == [OWNERS]


async def test_a_new_session_is_asleep(bench: Bench) -> None:
    """Whatever the last one of its process has said: it ended without a word."""
    async with open_process(bench.store) as process:
        assert await process.session.stay_awake()
    await bench.sessions_ended()
    async with (
        bench.store.open_listen_session(life_of("one")) as ear,
        open_process(bench.store) as process,
    ):
        await ear.retry()
        await process.commit(rings=[(QUEUE, 0)])
        assert await hear(ear, QUEUE) == [QUEUE]


async def test_who_sent_to_one_awake_is_seen_when_it_falls_asleep(bench: Bench) -> None:
    """It is visible to the next look, or named among those that run; a look that sees it end sees it all."""
    async with open_process(bench.store) as process:
        reader = Reader(process.session, Lane(QUEUE, 0, EVERYWHERE))
        assert await process.session.stay_awake()
        client = await bench.begin()
        await bench.store.send(client.connection, [send_row(1)], (), [(QUEUE, 0)])
        await process.session.fall_asleep()
        look = await process.session.read(reader.cursors, [10])
        assert ([], 1) == (numbers(look.rows[0]), len(look.seen.xip))
        await client.commit()
        (tx,) = look.seen.xip
        look = await process.session.read(reader.cursors, [10])
        assert ([1], True) == (numbers(look.rows[0]), look.seen.sees(tx))


async def test_who_sent_to_the_last_owner_is_seen_when_a_partition_is_taken(bench: Bench) -> None:
    """As above: the one that was woken is not the one that has to look."""
    async with open_process(bench.store) as process, open_process(bench.store, "two") as another:
        client = await bench.begin()
        await bench.store.send(client.connection, [send_row(1)], (), [(QUEUE, 0)])
        await process.session.release(list(process.fences.values()))
        assert await take_all(another.session)
        reader = Reader(another.session, Lane(QUEUE, 0, EVERYWHERE))
        assert 1 == len((await another.session.read(reader.cursors, [10])).seen.xip)
        await client.roll_back()


async def test_nobody_is_woken_unasked(bench: Bench) -> None:
    """A commit that names nobody to wake is silent, and so is one that was refused."""
    async with bench.store.open_listen_session(life_of("one")) as ear, open_process(bench.store) as process:
        await ear.retry()
        await process.send(send_row(1))
        await process.commit(finished(sends=[send_row(1)._replace(payload="{")]), rings=[(QUEUE, 0)])
        await process.session.release([])
        assert await hear(ear, OWNERS) == [OWNERS]


async def test_the_scheduler_is_woken_by_what_waits(bench: Bench) -> None:
    """A message for later, and a retry that comes back later, ring for the scheduler, and say when."""
    async with bench.store.open_listen_session(1) as ear, open_process(bench.store) as process:
        await ear.retry()
        await process.commit(finished(parts=[SendLater(send_row(1), 50.0, None)]))
        assert 50 == pytest.approx(_seconds_until(await hear(ear, "@")), abs=10)
        await process.send(send_row(2))
        (message,) = await process.messages()
        await process.commit(finished(parts=[retry_part(RetryAsNew, message, delay=50.0)]))
        assert 50 == pytest.approx(_seconds_until(await hear(ear, "@")), abs=10)
        at = "2040-01-02T03:04:05.678+00:00"
        later = [SendLater(send_row(1), None, at), SendLater(send_row(1), 10**9, None)]
        await process.commit(finished(parts=later))
        (hint,) = await hear(ear, "@")
        assert datetime.fromisoformat(at).timestamp() == pytest.approx(float(hint[1:]), abs=0.001)


def _seconds_until(hints: list[str]) -> float:
    """How far away is what the scheduler was woken for."""
    (hint,) = hints
    return float(hint[1:]) - time.time()


async def test_promoting_and_redriving_ring(bench: Bench) -> None:
    """What appears in a mailbox without a sender wakes its readers too."""
    async with bench.store.open_listen_session(life_of("one")) as ear, open_process(bench.store) as process:
        await process.commit(finished(parts=[SendLater(send_row(1), 0.0, None)]))
        await ear.retry()
        with trio.fail_after(10):
            while not (await bench.store.promote_due(10)).queues:
                await trio.lowlevel.checkpoint()
        assert QUEUE in await hear(ear, QUEUE)
        (message,) = await process.messages()
        await process.commit(finished(parts=[retry_part(Bury, message)]))
        await bench.store.redrive(None, QUEUE)
        assert await hear(ear, QUEUE) == [QUEUE]


async def test_silence_ends_in_time(bench: Bench) -> None:
    """Without a hint the round is over after the time given to it, and the next one can begin."""
    async with bench.store.open_listen_session(1) as ear:
        await ear.retry()
        with trio.fail_after(10):
            assert [hint async for hint in ear.hints(0.01)] == []
            assert [hint async for hint in ear.hints(0.01)] == []
        await ear.check()
