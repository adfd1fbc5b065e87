"""The end of a runtime in virtual time, at moments that only a held commit brings about."""

import trio
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import MemoryStore
from tests.runtime.apps import Account, Deposit
from tests.runtime.faults import FaultyStore, Hooks


async def _nothing(*_: object) -> bool:
    raise AssertionError("no fault was planned")


async def test_a_repetition_in_the_last_commit_does_not_hold_up_the_end(autojump_clock: MockClock) -> None:
    """A repeated tell whose verdict comes while its handler drains is acknowledged before the end."""
    held, holds = trio.Event(), False

    async def pause() -> None:
        if holds:
            held.set()
            await trio.sleep(1)  # the end has been asked for meanwhile

    real = MemoryStore()
    store = FaultyStore(real, Hooks(_nothing, _nothing, pause), ())
    async with rb.open_runtime(rb.App("app", actors=[Account]), database=store.as_store()) as runtime:
        for _ in range(2):
            await runtime.ask(Account, "a", Deposit(1), idempotency_key="one")
        # Its send is one commit, its turn the next.
        await runtime.tell(Account, "a", Deposit(1), idempotency_key="one")
        holds = True
        await held.wait()
        asked = trio.current_time()
    assert trio.current_time() < asked + 5, "the handler waited for its deadline"
    assert await real.depths(["account"]) == {"account": 0}
