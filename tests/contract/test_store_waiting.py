"""What waits: messages for later, retries, dead letters."""

from datetime import UTC, datetime, timedelta
from typing import Any

import trio

from rolebook.runtime.contract import (
    Bury,
    Committed,
    Promoted,
    RetryAsNew,
    RetryInPlace,
    SendLater,
    StoppedKey,
)
from tests.stores import (
    QUEUE,
    Bench,
    Process,
    Reader,
    finished,
    hear,
    numbers,
    open_process,
    retry_part,
    send_row,
)


def later(
    number: int, *, delay: float | None = None, at: datetime | None = None, **options: Any
) -> SendLater:
    """A message for later."""
    return SendLater(send_row(number, **options), delay, None if at is None else at.isoformat())


async def promote_until(bench: Bench, queue: str = QUEUE) -> Promoted:
    """Promote until a queue got something."""
    with trio.fail_after(10):
        while True:
            promoted = await bench.store.promote_due(100)
            if queue in promoted.queues:
                return promoted
            await trio.lowlevel.checkpoint()


async def test_a_delayed_message_waits_outside_the_mailbox(bench: Bench) -> None:
    """It is not read, not pending and not promoted before its time; the scheduler learns when that is."""
    async with open_process(bench.store) as one:
        idle = await bench.store.promote_due(10)
        assert (list(idle.queues), idle.next_due) == ([], None)
        await one.commit(finished(parts=[later(1, delay=100.0)]))
        assert await one.messages() == []
        assert not await bench.store.pending([QUEUE])
        promoted = await bench.store.promote_due(10)
        assert not promoted.queues
        assert promoted.next_due is not None
        assert 90 < promoted.next_due <= 100


async def test_a_due_message_moves_into_the_mailbox(bench: Bench) -> None:
    """Once due it is pending, is promoted with all its columns, and is new to a running reader."""
    async with open_process(bench.store) as one:
        reader = Reader(one.session)
        assert await reader.read() == []
        await one.commit(finished(parts=[later(7, delay=0.0, key="a", headers='{"h": 1}', priority=0)]))
        with trio.fail_after(10):
            while not await bench.store.pending([QUEUE]):
                await trio.lowlevel.checkpoint()
        assert not await bench.store.pending(["other"])
        promoted = await promote_until(bench)
        assert (list(promoted.queues), promoted.next_due) == ([QUEUE], None)
        (row,) = await reader.read()
        assert row[3:-1] == ("a", "count", 1, "7", '{"h": 1}', 0, None)
        assert await reader.read() == []


async def test_at_is_a_moment(bench: Bench) -> None:
    """A moment in the past is due at once; one in the future is not, in whatever zone it was given."""
    async with open_process(bench.store) as one:
        now = datetime.fromtimestamp((await one.session.read([], [])).server_time, UTC)
        past, future = now - timedelta(days=1), now + timedelta(hours=1)
        await one.commit(finished(parts=[later(1, at=past), later(2, at=future)]))
        promoted = await promote_until(bench)
        assert [int(message.payload) for message in await one.messages()] == [1]
        assert promoted.next_due is not None
        assert 3500 < promoted.next_due <= 3600


async def test_due_messages_come_in_the_order_of_their_times(bench: Bench) -> None:
    """Not in the order in which they were sent; at most so many at a time, and then the rest is overdue."""
    async with open_process(bench.store) as one:
        now = datetime.fromtimestamp((await one.session.read([], [])).server_time, UTC)
        ago = {1: 10, 2: 30, 3: 20}
        await one.commit(
            finished(parts=[later(number, at=now - timedelta(seconds=age)) for number, age in ago.items()])
        )
        first = await bench.store.promote_due(2)
        assert first.next_due is not None
        assert first.next_due < 0
        second = await bench.store.promote_due(2)
        assert second.next_due is None
        assert [int(message.payload) for message in await one.messages()] == [2, 3, 1]


async def test_a_message_keeps_its_id_while_it_waits(bench: Bench) -> None:
    """A retry that lets others pass comes back with the same id, its attempts counted."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1), send_row(2))
        reader = Reader(one.session)
        first, second = [one.message(row) for row in await reader.read()]
        answer = await one.commit(
            finished(fence=first.fence, parts=[retry_part(RetryAsNew, first, delay=0.0)])
        )
        assert Committed() == answer
        assert [second.id] == [message.id for message in await one.messages()]
        await promote_until(bench)
        (row,) = await reader.read()
        again = one.message(row)
        assert (first.id, first.key, first.payload, 1, None) == (
            again.id,
            again.key,
            again.payload,
            again.attempts,
            again.wait,
        )
        assert again.tx > second.tx


async def test_a_retry_in_place_keeps_the_head_of_its_key(bench: Bench) -> None:
    """It stays first, with its attempts counted and the seconds it has to wait."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1), send_row(2))
        first, _ = await one.messages()
        await one.commit(finished(fence=first.fence, parts=[retry_part(RetryInPlace, first, delay=50.0)]))
        again, second = await one.messages()
        assert (first.id, first.tx, 1) == (again.id, again.tx, again.attempts)
        assert again.wait is not None
        assert 40 < again.wait <= 50
        assert second.wait is None


async def test_a_parked_message_waits_for_ever(bench: Bench) -> None:
    """Without a delay the wait is infinite: until it is resumed. It is not pending."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        await one.commit(finished(fence=message.fence, parts=[retry_part(RetryInPlace, message, delay=None)]))
        (parked,) = await one.messages()
        assert float("inf") == parked.wait
        assert not await bench.store.pending([QUEUE])


async def test_pending_means_due(bench: Bench) -> None:
    """A message in the mailbox is pending, one that waits for its retry or was handled is not."""
    async with open_process(bench.store) as one:
        assert not await bench.store.pending([QUEUE, "other"])
        await one.send(send_row(1))
        assert await bench.store.pending(["other", QUEUE])
        assert not await bench.store.pending(["other"])
        (message,) = await one.messages()
        await one.commit(
            finished(fence=message.fence, parts=[retry_part(RetryInPlace, message, delay=100.0)])
        )
        assert not await bench.store.pending([QUEUE])
        (message,) = await one.messages()
        await one.commit(finished(fence=message.fence, consumed=message))
        assert not await bench.store.pending([QUEUE])


async def test_a_queue_has_a_depth(bench: Bench) -> None:
    """Messages in the mailbox count, whatever their priority and though they wait; those for later do not."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1), send_row(2, priority=1), send_row(3, queue="other"))
        (message,) = await one.messages()
        await one.commit(
            finished(fence=message.fence, parts=[retry_part(RetryInPlace, message, delay=100.0)]),
            finished(parts=[later(4, delay=100.0)]),
        )
        depths = await bench.store.depths([QUEUE, "empty"])
        assert depths == {QUEUE: 2, "empty": 0}


async def bury(one: Process, *wanted: int, queue: str = QUEUE) -> None:
    """Send some messages and give them up."""
    await one.send(*(send_row(number, "a", queue=queue, headers='{"h":1}') for number in wanted))
    for message in await one.messages(queue):
        await one.commit(finished(fence=None, parts=[retry_part(Bury, message)]))


async def test_a_dead_letter_is_the_message_with_its_error(bench: Bench) -> None:
    """Everything is kept as it was, the error and the number of attempts beside it."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1, "a", headers='{"h": 1}'))
        (message,) = await one.messages()
        assert Committed() == await one.commit(
            finished(fence=message.fence, parts=[retry_part(Bury, message)])
        )
        assert await one.messages() == []
        (letter,) = await bench.store.dead_letters(QUEUE, 10)
        kept = (letter.message_id, letter.queue, letter.key, letter.type, letter.version, letter.payload)
        assert (message.id, QUEUE, "a", "count", 1, "1") == kept
        assert (letter.headers, letter.attempts, letter.error) == ('{"h": 1}', 1, "it failed")
        assert letter.sent_at <= letter.died_at


async def test_dead_letters_are_listed_newest_first(bench: Bench) -> None:
    """Of one queue or of all, at most so many."""
    async with open_process(bench.store) as one:
        await bury(one, 1, 2)
        await bury(one, 3, queue="other")
        assert [letter.payload for letter in await bench.store.dead_letters(None, 10)] == ["3", "2", "1"]
        assert [letter.payload for letter in await bench.store.dead_letters(None, 2)] == ["3", "2"]
        assert [letter.payload for letter in await bench.store.dead_letters(QUEUE, 10)] == ["2", "1"]


async def test_a_redriven_letter_arrives_anew(bench: Bench) -> None:
    """It is back in its mailbox with its id, no attempts counted, and new to a running reader; once."""
    async with open_process(bench.store) as one:
        await bury(one, 1, 2)
        reader = Reader(one.session)
        assert await reader.read() == []
        newest, oldest = await bench.store.dead_letters(None, 10)
        assert await bench.store.redrive([oldest.id], None) == 1
        assert await bench.store.redrive([oldest.id], None) == 0
        (row,) = await reader.read()
        message = one.message(row)
        assert (oldest.message_id, "a", "1", '{"h":1}', 0, None) == (
            message.id,
            message.key,
            message.payload,
            message.headers,
            message.attempts,
            message.wait,
        )
        assert [newest.id] == [letter.id for letter in await bench.store.dead_letters(None, 10)]


async def test_redriving_a_queue_leaves_the_others(bench: Bench) -> None:
    """By queue, by ids within a queue, or everything; in the order in which they died."""
    async with open_process(bench.store) as one:
        await bury(one, 1, 2)
        await bury(one, 3, queue="other")
        other, *_ = await bench.store.dead_letters(None, 10)
        assert await bench.store.redrive([other.id], QUEUE) == 0
        assert await bench.store.redrive(None, QUEUE) == 2
        assert numbers(await Reader(one.session).read()) == [1, 2]
        assert await bench.store.redrive(None, None) == 1
        assert [int(message.payload) for message in await one.messages("other")] == [3]


async def test_what_is_parked_is_listed_and_resumed(bench: Bench) -> None:
    """A message without a next time waits until its key is resumed, whoever does so; its owner is told."""
    async with open_process(bench.store) as one:
        await one.commit(finished(sends=[send_row(1, "a"), send_row(2, "a"), send_row(3, "b")]))
        messages = await one.messages()
        parts = [retry_part(RetryInPlace, message, delay=None) for message in (messages[0], messages[2])]
        assert await bench.store.stopped([QUEUE]) == []
        await one.commit(finished(parts=parts))
        assert await bench.store.stopped([QUEUE]) == [
            StoppedKey(QUEUE, "a", "parked", 1, "it failed"),
            StoppedKey(QUEUE, "b", "parked", 1, "it failed"),
        ]
        assert await bench.store.stopped(["other"]) == []
        async with bench.store.open_listen_session(1) as ear:
            await ear.retry()
            assert await bench.store.resume(QUEUE, "a") == 1
            assert await hear(ear, f"+{QUEUE}") == [f"+{QUEUE}"]
        assert [each.key for each in await bench.store.stopped([QUEUE])] == ["b"]
        assert await bench.store.resume(QUEUE, "a") == 0
