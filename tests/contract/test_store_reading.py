"""Reading the mailbox: every committed row once, whatever the order of commits."""

import time
from random import Random
from typing import Any

import pytest
import trio

from rolebook.runtime.contract import Bury, Lane, RetryAsNew, RetryInPlace, merge, partition_of_key
from tests.stores import (
    EVERYWHERE,
    QUEUE,
    Bench,
    Client,
    Process,
    Reader,
    finished,
    numbers,
    open_process,
    retry_part,
    send_row,
)


async def send(bench: Bench, client: Client, *wanted: int, **options: Any) -> None:
    await bench.store.send(client.connection, [send_row(number, **options) for number in wanted], [], [])


async def test_a_row_is_what_was_sent(bench: Bench) -> None:
    """Every column comes back as it went in."""
    async with open_process(bench.store) as one:
        await one.send(send_row(7, "k", headers='{"a": "b"}'), send_row(8, None))
        (keyed, keyless) = await Reader(one.session).read()
        partition = partition_of_key("k", 4)
        assert (partition, "k", "count", 1, "7", '{"a": "b"}', 0, None) == keyed[2:-1]
        assert keyless[2:-1] == (0, None, "count", 1, "8", None, 0, None)
        assert time.time() == pytest.approx(keyed.sent, abs=60)
        assert keyed.sent == keyless.sent


async def test_a_message_keeps_the_time_of_its_sending(bench: Bench) -> None:
    """It is part of the name that others know it by: whatever becomes of it, it stays to the microsecond."""
    async with open_process(bench.store) as one:
        await one.send(send_row(7, None))
        (message,) = await one.messages()
        await one.commit(finished(fence=message.fence, parts=[retry_part(RetryAsNew, message, delay=0.0)]))
        with trio.fail_after(10):
            while not (await bench.store.promote_due(10)).queues:
                await trio.lowlevel.checkpoint()
        (again,) = await one.messages()
        assert message.lasting_id == again.lasting_id
        await one.commit(finished(fence=again.fence, parts=[retry_part(Bury, again)]))
        await bench.store.redrive(None, None)
        (redriven,) = await one.messages()
        assert message.lasting_id == redriven.lasting_id


async def test_rows_come_in_the_order_they_were_sent(bench: Bench) -> None:
    """Within a batch by position, between batches by commit."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1), send_row(2), send_row(3))
        await one.send(send_row(4), send_row(5))
        assert numbers(await Reader(one.session).read()) == [1, 2, 3, 4, 5]


async def test_each_look_brings_what_is_new(bench: Bench) -> None:
    """A row that was read does not come again; a row committed since does."""
    async with open_process(bench.store) as one:
        reader = Reader(one.session)
        assert await reader.read() == []
        await one.send(send_row(1))
        assert numbers(await reader.read()) == [1]
        assert await reader.read() == []
        await one.send(send_row(2))
        assert numbers(await reader.read()) == [2]


async def test_an_open_transaction_hides_its_rows(bench: Bench) -> None:
    """What is not committed is not seen; what is rolled back never is."""
    async with open_process(bench.store) as one:
        reader = Reader(one.session)
        kept, undone = await bench.begin(), await bench.begin()
        await send(bench, kept, 1)
        await send(bench, undone, 2)
        assert await reader.read() == []
        await kept.commit()
        await undone.roll_back()
        assert numbers(await reader.read()) == [1]
        assert await reader.read() == []


async def test_a_transaction_that_commits_late_is_not_missed(bench: Bench) -> None:
    """Rows with lower ids that appear after higher ones were read are read all the same."""
    async with open_process(bench.store) as one:
        reader = Reader(one.session)
        early, late = await bench.begin(), await bench.begin()
        await send(bench, late, 1)
        await send(bench, early, 2)
        await early.commit()
        assert numbers(await reader.read()) == [2]
        await one.send(send_row(3))
        assert numbers(await reader.read()) == [3]
        await late.commit()
        assert numbers(await reader.read()) == [1]
        assert await reader.read() == []


async def test_a_transaction_that_began_before_the_reader_is_not_missed(bench: Bench) -> None:
    """The first look of all remembers who was running."""
    async with open_process(bench.store) as one:
        client = await bench.begin()
        await send(bench, client, 1)
        reader = Reader(one.session)
        assert await reader.read() == []
        await client.commit()
        assert numbers(await reader.read()) == [1]


async def test_a_backlog_is_read_in_pages(bench: Bench) -> None:
    """With little room a backlog comes page by page, in order, each row once."""
    async with open_process(bench.store) as one:
        for start in range(0, 20, 4):
            await one.send(*(send_row(number) for number in range(start, start + 4)))
        reader = Reader(one.session)
        pages = [numbers(await reader.read(7)) for _ in range(4)]
        assert [len(page) for page in pages] == [7, 7, 6, 0]
        assert list(range(20)) == [number for page in pages for number in page]
        assert reader.cursors[0].caught_up


async def test_what_arrives_during_a_backlog_belongs_to_the_next_window(bench: Bench) -> None:
    """A window is everything visible when it was opened; later rows come after it, once."""
    async with open_process(bench.store) as one:
        late = await bench.begin()
        await send(bench, late, 100)
        await one.send(*(send_row(number) for number in range(5)))
        reader = Reader(one.session)
        assert numbers(await reader.read(3)) == [0, 1, 2]
        await late.commit()
        await one.send(send_row(200))
        assert numbers(await reader.read(3)) == [3, 4]
        assert numbers(await reader.read(3)) == [100, 200]
        assert await reader.read(3) == []


async def test_a_page_that_ends_with_the_window_needs_one_more_look(bench: Bench) -> None:
    """A full page leaves the window open: nobody knows yet that it was the last."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1), send_row(2))
        reader = Reader(one.session)
        assert numbers(await reader.read(2)) == [1, 2]
        assert not reader.cursors[0].caught_up
        assert await reader.read(2) == []
        assert reader.cursors[0].caught_up


async def test_lanes_are_apart(bench: Bench) -> None:
    """A lane has one queue, one priority and some partitions; one look reads several lanes."""
    async with open_process(bench.store) as one:
        await one.send(
            send_row(1, priority=1),
            send_row(2),
            send_row(3, priority=-1),
            send_row(4, queue="other"),
            send_row(5, None),
            send_row(6, None),
        )
        lanes = [
            Lane(QUEUE, 1, EVERYWHERE),
            Lane(QUEUE, 0, range(1, 3)),
            Lane(QUEUE, -1, EVERYWHERE),
            Lane("other", 0, EVERYWHERE),
        ]
        found = [sorted(numbers(rows)) for rows in await Reader(one.session, *lanes).read_lanes()]
        expected = [2, 5, 6] if partition_of_key("k", 4) in {1, 2} else [5, 6]
        assert [[1], expected, [3], [4]] == found


async def test_each_lane_has_its_own_room(bench: Bench) -> None:
    """The room of one lane does not limit the others, and no room reads nothing."""
    async with open_process(bench.store) as one:
        await one.send(
            *(send_row(number) for number in range(5)),
            *(send_row(number, queue="other") for number in range(5)),
        )
        reader = Reader(one.session, Lane(QUEUE, 0, EVERYWHERE), Lane("other", 0, EVERYWHERE))
        look = await one.session.read(reader.cursors, [1, 3])
        assert [numbers(rows) for rows in look.rows] == [[0], [0, 1, 2]]


async def test_a_key_can_be_read_by_itself(bench: Bench) -> None:
    """A lane with a key reads that key's messages from the first, and nobody else's."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1, "a"), send_row(2, "b"), send_row(3, "a"), send_row(4, None))
        reader = Reader(one.session, Lane(QUEUE, 0, EVERYWHERE, "a"))
        assert numbers(await reader.catch_up(1)) == [1, 3]
        await one.send(send_row(5, "b"), send_row(6, "a"))
        assert numbers(await reader.catch_up(1)) == [6]


async def test_a_new_partition_is_read_whole_and_then_joins(bench: Bench) -> None:
    """A partition that was taken later is read from the beginning; then one cursor goes on for all."""
    async with open_process(bench.store) as one:
        await one.send(*(send_row(number, None) for number in range(8)))
        reader = Reader(one.session, Lane(QUEUE, 0, range(2)))
        assert numbers(await reader.catch_up()) == [0, 1, 4, 5]
        reader.cursors.append(Reader(one.session, Lane(QUEUE, 0, range(2, 4))).cursors[0])
        assert numbers(await reader.read()) == [2, 3, 6, 7]
        reader.cursors = merge(reader.cursors)
        assert [Lane(QUEUE, 0, EVERYWHERE)] == [cursor.lane for cursor in reader.cursors]
        await one.send(send_row(8, None), send_row(11, None))
        assert numbers(await reader.read()) == [8, 11]


async def test_a_handled_message_is_gone(bench: Bench) -> None:
    """A reader that begins anew sees what is left."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1), send_row(2))
        first, _ = await one.messages()
        await one.commit(finished(fence=first.fence, consumed=first))
        assert numbers(await Reader(one.session).read()) == [2]


async def test_a_retry_stays_with_its_owner(bench: Bench) -> None:
    """Marking a message as failed does not make it new to its owner. A new owner sees the wait."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        reader = Reader(one.session)
        (row,) = await reader.read()
        await one.commit(finished(parts=[retry_part(RetryInPlace, one.message(row), delay=100.0)]))
        assert await reader.read() == []
        (again,) = await Reader(one.session).read()
        assert row[:8] == again[:8]
        assert again.attempts == 1
        assert again.wait is not None
        assert 90 < again.wait <= 100


async def test_the_look_tells_the_time(bench: Bench) -> None:
    """Each look carries the store's clock, which never goes back."""
    async with open_process(bench.store) as one:
        first = await one.session.read([], [])
        second = await one.session.read([], [])
        assert 0 < first.server_time <= second.server_time


class Schedule:
    """A random life of several senders, readers that look at random moments, and owners that handle."""

    def __init__(self, bench: Bench, process: Process, seed: int) -> None:
        self.bench, self.process, self.random = bench, process, Random(seed)
        self.next = 0
        self.open: list[tuple[Client, list[int]]] = []
        self.committed: list[int] = []
        self.readers = [(Reader(process.session), list[int]()) for _ in range(2)]
        self.unhandled: list[Any] = []

    async def run(self, steps: int) -> None:
        actions = [self.begin, self.send, self.send, self.commit, self.commit, self.roll_back]
        actions += [self.look, self.look, self.send_at_once]
        for _ in range(steps):
            await self.random.choice(actions)()
        for client, sent in self.open:
            await client.commit()
            self.committed += sent
        for reader, seen in self.readers:
            seen.extend(numbers(await reader.catch_up(3)))

    async def begin(self) -> None:
        if len(self.open) < 5:
            self.open.append((await self.bench.begin(), []))

    async def send(self) -> None:
        if self.open:
            client, sent = self.random.choice(self.open)
            count = self.random.randint(1, 3)
            new = list(range(self.next, self.next + count))
            self.next += count
            rows = [send_row(number, self.random.choice([None, "a", "b"])) for number in new]
            await self.bench.store.send(client.connection, rows, [], [])
            sent += new

    async def send_at_once(self) -> None:
        self.next += 1
        await self.process.send(send_row(self.next - 1))
        self.committed.append(self.next - 1)

    async def commit(self) -> None:
        if self.open:
            client, sent = self.open.pop(self.random.randrange(len(self.open)))
            await client.commit()
            self.committed += sent

    async def roll_back(self) -> None:
        if self.open:
            client, _ = self.open.pop(self.random.randrange(len(self.open)))
            await client.roll_back()

    async def look(self) -> None:
        reader, seen = self.random.choice(self.readers)
        seen += numbers(await reader.read(self.random.randint(1, 4)))


@pytest.mark.parametrize("seed", range(6))
async def test_every_committed_row_is_seen_exactly_once(bench: Bench, seed: int) -> None:
    """Whatever transactions do to each other, a reader sees each committed row once and no other."""
    async with open_process(bench.store) as one:
        schedule = Schedule(bench, one, seed)
        await schedule.run(120)
        for _, seen in schedule.readers:
            assert sorted(schedule.committed) == sorted(seen)
