"""The doorbell: hints for whoever listens."""

import trio

from rolebook.runtime.contract import Bury, RetryAsNew, SendLater
from tests.stores import QUEUE, Bench, finished, hear, open_process, retry_part, send_row


async def test_every_ear_hears_a_commit(bench: Bench) -> None:
    """Each listener gets each hint; equal hints of one commit are one."""
    async with (
        bench.store.open_listen_session(1) as one,
        bench.store.open_listen_session(1) as two,
        open_process(bench.store) as process,
    ):
        await one.retry()
        await two.retry()
        assert one.listening
        await process.commit(finished(sends=[send_row(1), send_row(2)]), rings=[QUEUE, QUEUE])
        await process.commit(rings=["end"])
        assert await hear(one, "end") == [QUEUE, "end"]
        assert await hear(two, "end") == [QUEUE, "end"]


async def test_nobody_is_woken_unasked(bench: Bench) -> None:
    """A commit that names nobody to wake is silent, and so is one that was refused."""
    async with bench.store.open_listen_session(1) as ear, open_process(bench.store) as process:
        await ear.retry()
        await process.send(send_row(1))
        await process.commit(finished(sends=[send_row(1)._replace(payload="{")]), rings=["refused"])
        await process.commit(rings=["end"])
        assert await hear(ear, "end") == ["end"]


async def test_the_scheduler_is_woken_by_what_waits(bench: Bench) -> None:
    """A message for later, and a retry that comes back later, ring for the scheduler."""
    async with bench.store.open_listen_session(1) as ear, open_process(bench.store) as process:
        await ear.retry()
        await process.commit(finished(parts=[SendLater(send_row(1), 50.0, None)]))
        assert await hear(ear, "@") == ["@"]
        await process.send(send_row(2))
        (message,) = await process.messages()
        await process.commit(finished(parts=[retry_part(RetryAsNew, message, delay=50.0)]))
        assert await hear(ear, "@") == ["@"]


async def test_promoting_and_redriving_ring(bench: Bench) -> None:
    """What appears in a mailbox without a sender wakes its readers too."""
    async with bench.store.open_listen_session(1) as ear, open_process(bench.store) as process:
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
