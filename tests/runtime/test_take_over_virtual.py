"""Taking over in virtual time: what is at rest is at rest, for time goes on only then."""

import trio
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import MemoryStore
from tests.runtime.apps import Account, Deposit

APP = rb.App("bank", actors=[Account])


async def test_a_process_comes_to_rest_after_it_took_over(autojump_clock: MockClock) -> None:
    """Also if the other one died, and what it had was begun with care."""
    store = MemoryStore()
    async with rb.open_runtime(APP, database=store, process="one") as one:
        assert await one.ask(Account, "a", Deposit(1)) == 1
        with trio.CancelScope() as killed:
            async with rb.open_runtime(APP, database=store, process="two"):
                await trio.sleep(5)
                killed.cancel()
                await trio.sleep(1)
        await trio.sleep(3600)
        assert one.statistics().mailbox.owned == {"account": store.partitions}
        assert await one.ask(Account, "a", Deposit(1)) == 2


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
