"""Actors leave memory after their idle time, in virtual time."""

import trio
from trio.testing import MockClock

import rolebook as rb
from tests.runtime.apps import Account, Deposit, Note, diary

NEVER = rb.Settings(poll_interval=1e9, health_interval=1e9, passivate_after=300)


async def test_actors_leave_also_when_nothing_comes_any_more(autojump_clock: MockClock) -> None:
    """The last messages before a quiet night leave no actors behind in memory; the next one wakes them."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database="memory:", settings=NEVER) as runtime:
        for number in range(10):
            await runtime.ask(Account, f"k{number}", Deposit(1))
        assert runtime.statistics().actors["account"].residents == 10
        await trio.sleep(299)
        assert runtime.statistics().actors["account"].residents == 10
        await trio.sleep(302)
        assert runtime.statistics().actors["account"].residents == 0
        assert await runtime.ask(Account, "k1", Deposit(1)) == 2


async def test_an_actor_that_is_needed_now_and_then_stays(autojump_clock: MockClock) -> None:
    """Idle time counts from the last message."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database="memory:", settings=NEVER) as runtime:
        for _ in range(10):
            await runtime.ask(Account, "a", Deposit(1))
            await trio.sleep(200)
        assert runtime.statistics().actors["account"].recovered == 1


async def test_a_blocked_actor_does_not_leave(autojump_clock: MockClock) -> None:
    """Its message waits in memory for the retry."""
    slow = rb.Retry(attempts=3, backoff=rb.Backoff(first=5000, cap=5000, jitter=0))
    app = rb.App("app", actors=[diary(retry=slow)])
    async with rb.open_runtime(app, database="memory:", settings=NEVER) as runtime:
        await runtime.tell("diary", "a", Note(1, failures=1))
        await trio.sleep(4000)
        assert runtime.statistics().actors["diary"].blocked == 1
        await trio.sleep(4000)
        assert [each.event.attempt async for each in runtime.events("diary", "a")] == [2]
        assert runtime.statistics().actors["diary"].residents == 0
