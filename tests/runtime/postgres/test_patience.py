"""The time for the way back to rest: shared by what is nested, and by nothing else."""

import trio
from trio.testing import MockClock, Sequencer

from rolebook.runtime.contract import Ending
from rolebook.runtime.postgres import Patience


async def test_a_clean_up_is_given_up_after_its_time(autojump_clock: MockClock) -> None:
    """A shield keeps a cancellation out for so long."""
    patience, start = Patience(3), trio.current_time()
    with trio.CancelScope() as scope:
        scope.cancel()
        with patience.shield():
            await trio.sleep(60)
    assert trio.current_time() - start == 3


async def test_a_nested_clean_up_shares_the_time(autojump_clock: MockClock) -> None:
    """One inside another has what is left, and the next one has its own again."""
    patience, start = Patience(3), trio.current_time()
    with patience.shield():
        await trio.sleep(2)
        with patience.shield():
            await trio.sleep(60)
    assert trio.current_time() - start == 3
    with patience.shield():
        await trio.sleep(60)
    assert trio.current_time() - start == 6


async def test_tasks_that_clean_up_together_have_their_own_time(autojump_clock: MockClock) -> None:
    """Two tasks may clean up one connection: whoever is done first or last leaves nothing behind."""
    patience, steps = Patience(3), Sequencer()

    async def clean(enter: int, leave: int) -> None:
        async with steps(enter):
            shield = patience.shield()
            shield.__enter__()
        async with steps(leave):
            shield.__exit__(None, None, None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(clean, 0, 2)
        nursery.start_soon(clean, 1, 3)
    await trio.sleep(10)
    start = trio.current_time()
    with patience.shield():
        await trio.sleep(60)
    assert trio.current_time() - start == 3


async def test_the_end_of_the_runtime_cuts_the_time_short(autojump_clock: MockClock) -> None:
    """A clean-up has its time before the end is announced, and no more than the end leaves it after."""
    ending, start = Ending(2), trio.current_time()
    patience = Patience(3, ending)
    with patience.shield():
        await trio.sleep(60)
    assert 3 == trio.current_time() - start
    ending.announced.set()
    for _ in range(2):  # the second has nothing left
        with patience.shield():
            await trio.sleep(60)
    assert ending.settle_until == trio.current_time()
    assert start + 3 + 1.6 < trio.current_time() < start + 3 + 2
