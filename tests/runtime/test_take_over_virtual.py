"""Taking over in virtual time: what is at rest is at rest, for time goes on only then."""

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import MemoryStore
from rolebook.runtime.contract import TrialRow, partition_of_key
from tests.runtime.apps import Account, Deposit

APP = rb.App("bank", actors=[Account])


@rb.command("bank.remind")
@frozen
class Remind(rb.Command[None]):
    account: str


async def die(store: MemoryStore) -> None:
    """Be a process that joins, takes half of what there is, and dies with it."""
    async with store.open_fetch_session("two", 2) as session:
        await session.prepare(["account"])
        await session.join(["account"])
        owned = 0
        while owned < store.partitions // 2:
            await trio.sleep(0.1)
            free = await session.vacancies(["account"])
            owned += len(await session.take([(vacancy.queue, vacancy.partition) for vacancy in free]))


async def test_a_process_comes_to_rest_after_it_took_over(autojump_clock: MockClock) -> None:
    """Also if the other one died, and what it had was begun with care; then asks wait for nothing."""
    store = MemoryStore()
    async with rb.open_runtime(APP, database=store, process="one") as one:
        assert await one.ask(Account, "a", Deposit(1)) == 1
        await die(store)
        await trio.sleep(3600)
        assert one.statistics().mailbox.owned == {"account": store.partitions}
        with trio.fail_after(60):
            assert await one.ask(Account, "a", Deposit(1)) == 2
            for number in range(10 * store.partitions):
                assert await one.ask(Account, f"b{number}", Deposit(1)) == 1


async def test_what_was_lost_and_came_back_was_not_moved(autojump_clock: MockClock) -> None:
    """A process whose session broke has its partitions again; the other one has what it had."""
    store = MemoryStore()
    async with (
        rb.open_runtime(APP, database=store, process="one") as one,
        rb.open_runtime(APP, database=store, process="two") as two,
    ):
        await trio.sleep(5)
        before = two.statistics().mailbox.moves
        store.end_session("one")
        await trio.sleep(10)
        assert one.statistics().mailbox.owned == {"account": store.partitions // 2}
        assert two.statistics().mailbox.moves == before


QUEUES = ["reminders", "account", "calls"]
KEY = next(key for key in map(str, range(1000)) if partition_of_key(key, MemoryStore().partitions) == 0)
"""Of partition 0."""


async def accuse(store: MemoryStore, accused: dict[str, list[int]], deaths: int) -> None:
    """Be processes that own everything, and die one after the other of these messages in partition 0."""
    for level in range(deaths):
        async with store.open_fetch_session(f"life {level}", level + 10) as session:
            await session.prepare(QUEUES)
            await session.join(QUEUES)
            places = [(vacancy.queue, vacancy.partition) for vacancy in await session.vacancies(QUEUES)]
            fences = {taken.fence[:2]: taken.fence for taken in await session.take(places)}
            await session.begin_trials(
                [TrialRow(fences[queue, 0], level, ids, 1e6) for queue, ids in accused.items()]
            )


async def test_a_suspect_that_waits_for_the_others_does_not_wait_for_ever(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is alone, and asks who can answer only when others go on: they do after a while."""
    store = MemoryStore()
    app = rb.App("bank", actors=[Account])
    done = trio.Event()

    @app.handler("reminders")
    async def remind(command: Remind, turn: rb.Turn) -> None:
        await turn.client.tell(Account, command.account, Deposit(1))
        assert await turn.client.ask(Account, command.account, Deposit(1)) == 2
        done.set()

    async with rb.open_client(app, database=store) as client:
        await client.enqueue("reminders", Remind("a"), key=KEY)
    await accuse(store, {"reminders": [1]}, deaths=2)
    async with rb.open_runtime(app, database=store) as runtime:
        with trio.fail_after(60):
            await done.wait()
            await runtime.wait_idle()
    assert "others go on" in caplog.text


async def test_a_suspect_does_not_wait_for_ever_until_it_is_alone(autojump_clock: MockClock) -> None:
    """What has begun before takes hours: meanwhile the others go on."""
    store = MemoryStore()
    app = rb.App("bank", actors=[Account])
    hours, done = trio.Event(), trio.Event()

    @app.handler("reminders")
    async def remind(command: Remind) -> None:
        done.set()

    @app.handler("reports")
    async def report(command: Remind) -> None:
        await hours.wait()

    async with rb.open_client(app, database=store) as client:
        await client.enqueue("reminders", Remind("a"), key=KEY)
    await accuse(store, {"reminders": [1]}, deaths=2)
    async with rb.open_runtime(app, database=store) as runtime:
        await runtime.enqueue("reports", Remind("a"))
        with trio.fail_after(60):
            await trio.sleep(30)
            assert await runtime.ask(Account, "a", Deposit(1)) == 1
            await runtime.tell(Account, "a", Deposit(1))
            assert await runtime.ask(Account, "a", Deposit(1)) == 3
        assert not done.is_set()
        hours.set()
        with trio.fail_after(200):
            await done.wait()


async def test_suspects_do_not_wait_for_each_other_for_ever(autojump_clock: MockClock) -> None:
    """One of a queue asks an actor that has suspects of its own, which are begun one at a time."""
    store = MemoryStore()
    app = rb.App("bank", actors=[Account])
    balances: list[int] = []

    @app.handler("reminders")
    async def remind(command: Remind, turn: rb.Turn) -> None:
        balances.append(await turn.client.ask(Account, command.account, Deposit(1)))

    async with rb.open_client(app, database=store) as client:
        await client.enqueue("reminders", Remind(KEY), key=KEY)
        await client.tell(Account, KEY, Deposit(1))
        await client.tell(Account, KEY, Deposit(1))
    await accuse(store, {"account": [2, 3], "reminders": [1]}, deaths=1)
    async with rb.open_runtime(app, database=store) as runtime:
        with trio.fail_after(60):
            await runtime.wait_idle()
    assert balances == [3]


async def test_suspects_that_are_to_be_alone_are_so_one_after_the_other(autojump_clock: MockClock) -> None:
    """Two that are found by one look: the second waits for the first, and neither for anything else."""
    store = MemoryStore()
    app = rb.App("bank", actors=[Account])
    in_work, together = 0, 0

    async def handle(command: Remind) -> None:
        nonlocal in_work, together
        in_work += 1
        together = max(together, in_work)
        await trio.sleep(2)
        in_work -= 1

    app.handler("reminders")(handle)
    app.handler("calls")(handle)

    async with rb.open_client(app, database=store) as client:
        await client.enqueue("reminders", Remind("a"), key=KEY)
        await client.enqueue("calls", Remind("a"), key=KEY)
        await client.enqueue("calls", Remind("b"), key=KEY)
    await accuse(store, {"reminders": [1], "calls": [2]}, deaths=2)
    async with rb.open_runtime(app, database=store) as runtime:
        with trio.fail_after(20):
            await runtime.wait_idle()
    assert together == 1
