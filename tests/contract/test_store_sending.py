"""Sending inside somebody else's transaction, and turns that bring their own."""

import pytest

from rolebook.runtime.contract import OWNERS, Lane, SendLater, SendRow, TurnConflict
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
    send_row,
)


async def test_a_send_belongs_to_the_callers_transaction(bench: Bench) -> None:
    """It appears with the commit, all of it, in order."""
    async with open_process(bench.store) as one:
        reader = Reader(one.session)
        client = await bench.begin()
        await bench.store.send(client.connection, [send_row(1), send_row(2)], [], [(QUEUE, 0)])
        await bench.store.send(client.connection, [send_row(3)], [], [(QUEUE, 0)])
        assert await reader.read() == []
        await client.commit()
        assert numbers(await reader.read()) == [1, 2, 3]


async def test_a_rollback_takes_the_messages_back(bench: Bench) -> None:
    """Those for now and those for later."""
    async with open_process(bench.store) as one:
        client = await bench.begin()
        scheduled = SendLater(send_row(2), 0.0, None)
        await bench.store.send(client.connection, [send_row(1)], [scheduled], [(QUEUE, 0)])
        await client.roll_back()
        assert await one.messages() == []
        assert not (await bench.store.promote_due(10)).queues
        assert not await bench.store.pending([QUEUE])


@pytest.mark.parametrize("ending", ["commit", "roll_back"])
async def test_the_end_of_the_callers_transaction_can_be_seen(bench: Bench, ending: str) -> None:
    """From outside: until then what it sent may yet appear."""
    client = await bench.begin()
    await bench.store.send(client.connection, [send_row(1)], [], [(QUEUE, 0)])
    assert not bench.store.has_ended(client.connection)
    await getattr(client, ending)()
    assert bench.store.has_ended(client.connection)


ALIKE = [SendRow(QUEUE, 0, 0, None, "one", 1, str(number), None) for number in range(3)]
UNLIKE = [
    SendRow(QUEUE, 0, 0, None, "one", 1, "0", None),
    SendRow(QUEUE, 1, 1, "k", "two", 2, "1", '{"a":"b"}'),
    SendRow("other", 0, 0, "", "one", 3, "2", None),
    SendRow(QUEUE, 3, -1, "k", "two", 2, "3", "{}"),
]


@pytest.mark.parametrize("sends", [ALIKE, UNLIKE, UNLIKE[1:2], UNLIKE[1::2], [*ALIKE, UNLIKE[1]]])
async def test_each_message_keeps_what_is_its_own(bench: Bench, sends: list[SendRow]) -> None:
    """Whatever the messages of one send have in common, no column of one gets into another."""
    async with open_process(bench.store) as one:
        client = await bench.begin()
        await bench.store.send(client.connection, sends, [], [])
        await client.commit()
        lanes = [Lane(queue, priority, EVERYWHERE) for queue in (QUEUE, "other") for priority in (-1, 0, 1)]
        found: list[SendRow] = []
        for lane, rows in zip(lanes, await Reader(one.session, *lanes).read_lanes(), strict=True):
            found += [SendRow(lane.queue, row[2], lane.priority, *row[3:8]) for row in rows]
        assert sorted(sends, key=repr) == sorted(found, key=repr)


async def test_a_message_for_later_can_be_sent_in_a_transaction(bench: Bench) -> None:
    """It waits from the commit on."""
    client = await bench.begin()
    scheduled = SendLater(send_row(2), 50.0, None)
    await bench.store.send(client.connection, [], [scheduled], [])
    assert (await bench.store.promote_due(10)).next_due is None
    await client.commit()
    assert (await bench.store.promote_due(10)).next_due is not None


async def test_the_bell_rings_at_the_commit(bench: Bench) -> None:
    """Not before, and not for a transaction that was rolled back."""
    async with bench.store.open_listen_session(life_of("one")) as ear, open_process(bench.store) as one:
        await ear.retry()
        undone, kept = await bench.begin(), await bench.begin()
        await bench.store.send(undone.connection, [send_row(1)], [], [(QUEUE, 0)])
        await undone.roll_back()
        await bench.store.send(kept.connection, [send_row(2)], [], [(QUEUE, 0)])
        await one.session.release([])
        assert await hear(ear, OWNERS) == [OWNERS]
        await kept.commit()
        await one.session.release([])
        assert await hear(ear, OWNERS) == [QUEUE, OWNERS]


async def test_a_turn_commits_with_its_own_transaction(bench: Bench) -> None:
    """What was sent on its connection, what it sends, and the acknowledgement: together."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        reader = Reader(one.session)
        (row,) = await reader.read()
        message = one.message(row)
        async with bench.store.open_turn_transaction() as transaction:
            await bench.store.send(transaction.connection, [send_row(2)], [], [])
            assert await reader.read() == []
            await transaction.commit(finished(fence=message.fence, consumed=message, sends=[send_row(3)]))
        assert numbers(await reader.read()) == [2, 3]
        assert [int(left.payload) for left in await one.messages()] == [2, 3]


async def test_a_turn_transaction_left_without_commit_is_undone(bench: Bench) -> None:
    """By an error or without one; its message stays."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        async with bench.store.open_turn_transaction() as transaction:
            await bench.store.send(transaction.connection, [send_row(2)], [], [])

        async def fail() -> None:
            async with bench.store.open_turn_transaction() as transaction:
                await bench.store.send(transaction.connection, [send_row(3)], [], [])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert [int(left.payload) for left in await one.messages()] == [1]


async def test_a_turn_transaction_of_a_handled_message_is_void(bench: Bench) -> None:
    """Somebody else was first: nothing of it is stored."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        await one.commit(finished(fence=message.fence, consumed=message))
        async with bench.store.open_turn_transaction() as transaction:
            await bench.store.send(transaction.connection, [send_row(2)], [], [])
            with pytest.raises(TurnConflict):
                await transaction.commit(finished(fence=message.fence, consumed=message))
        assert await one.messages() == []


async def test_a_turn_transaction_of_a_former_owner_is_void(bench: Bench) -> None:
    """Its partition has changed hands while it was open."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        async with bench.store.open_turn_transaction() as transaction:
            await one.session.release([message.fence])
            async with open_process(bench.store, "two") as two:
                assert [message.partition] == list(two.fences)
                with pytest.raises(TurnConflict):
                    await transaction.commit(finished(fence=message.fence, consumed=message))
        assert [int(left.payload) for left in await one.messages()] == [1]


async def test_what_cannot_be_stored_fails_the_turn(bench: Bench) -> None:
    """The database's reason is the error, and the message stays."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        turn = finished(fence=message.fence, consumed=message, sends=[send_row(1)._replace(payload="{")])
        async with bench.store.open_turn_transaction() as transaction:
            with pytest.raises(Exception, match=r"JSON|json"):
                await transaction.commit(turn)
        assert [int(left.payload) for left in await one.messages()] == [1]
