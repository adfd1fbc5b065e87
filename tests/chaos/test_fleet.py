"""A fleet that grows and shrinks: processes join, end, are killed and frozen, and partitions move."""

from contextlib import ExitStack

import trio

from tests.chaos.books import Books
from tests.chaos.scene import ROUNDS, SECONDS, Worker, dice, prepare, sending_by_sql, settle, worker
from tests.chaos.weakening import slow_down, weaken
from tests.runtime.looking import Looking

FROZEN = 3
"""Processes that are frozen at once."""

SHARED = """
select count(distinct owner) = least(%s, 8) and max(owned) - min(owned) <= 1 and sum(owned) = 8
from (select owner, count(owner) as owned from rolebook.partitions
      where queue = 'account' group by owner) as o
"""


async def sail(
    url: str, looking: Looking, books: Books, seconds: float, *sizes: int, **changes: float
) -> None:
    """Let a fleet have some sizes, one after the other, under load, with losses at random in each."""
    chance = dice()
    with ExitStack() as stack:
        names = iter(range(1000))
        frozen: list[Worker] = []

        async def start() -> Worker:
            started = stack.enter_context(worker(url, f"w{next(names)}", "tick", **changes))
            await trio.to_thread.run_sync(started.wait_ready)
            return started

        async with sending_by_sql(url, books):
            fleet: list[Worker] = []
            for size in sizes:
                while len(fleet) > size:
                    await trio.to_thread.run_sync(fleet.pop(0).end)
                end = trio.current_time() + seconds / len(sizes)
                while trio.current_time() < end or len(fleet) < size:
                    if len(fleet) < size:
                        fleet.append(await start())
                        continue
                    await trio.sleep(chance.uniform(0, 0.3))
                    lost = fleet.pop(chance.randrange(len(fleet)))
                    fate = chance.choice(["killed", "frozen", "ended"])
                    if fate == "frozen":
                        lost.freeze()
                        frozen.append(lost)
                        if len(frozen) > FROZEN:  # for each has connections
                            frozen[0].wake()
                            await trio.to_thread.run_sync(frozen.pop(0).end)
                    else:
                        await trio.to_thread.run_sync(lost.kill if fate == "killed" else lost.end)
            for each in frozen:
                each.wake()
            await looking.until(SHARED, len(fleet) + len(frozen))
        for each in [*fleet, *frozen]:
            await trio.to_thread.run_sync(each.end)
    await settle(url, looking)


async def test_a_fleet_that_grows_and_shrinks(database_url: str, looking: Looking) -> None:
    """From two to eight to three processes: everything happens exactly once, and in order."""
    await prepare(looking)
    books = Books()
    await sail(database_url, looking, books, SECONDS, 2, 8, 3)
    assert books.accepted
    assert await books.violations(looking) == []


async def test_a_fleet_that_grows_and_shrinks_control(database_url: str, looking: Looking) -> None:
    """Without the checks of a commit, what a lost process had begun happens a second time elsewhere."""
    await prepare(looking)
    await weaken(looking, "epoch", "rows")
    books = Books()
    for _ in range(ROUNDS):
        await slow_down(looking, 0.3)
        await sail(database_url, looking, books, 1, 2, 4, take_interval=0.01)
        if await books.violations(looking):
            return
    raise AssertionError("the weakened schema passed: the test proves nothing")
