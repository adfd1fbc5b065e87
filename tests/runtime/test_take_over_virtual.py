"""Taking over in virtual time: what is at rest is at rest, for time goes on only then."""

import trio
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import MemoryStore
from tests.runtime.apps import Account, Deposit

APP = rb.App("bank", actors=[Account])


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
