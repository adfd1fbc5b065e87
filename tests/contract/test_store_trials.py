"""What a process that died had in work: who takes over knows, and knows how sure it is."""

from collections.abc import Sequence

from rolebook.runtime.contract import Fence, FetchSession, Suspect, Taken, TrialRow
from tests.stores import PARTITIONS, QUEUE, Bench, fetching, take_all

PLACES = [(QUEUE, partition) for partition in range(PARTITIONS)]
LONG = 1e6
"""Seconds that a process had lived before its trial."""


async def die(bench: Bench, name: str, *trials: tuple[int, Sequence[int], float]) -> list[Taken]:
    """Let a process take everything, begin some trials in partition 0, and die of it."""
    async with fetching(bench, name) as session:
        await session.prepare([QUEUE])
        await session.join([QUEUE])
        taken = await session.take(PLACES)
        if trials:
            fence = taken[0].fence
            await session.begin_trials([TrialRow(fence, level, ids, lived) for level, ids, lived in trials])
        return taken


async def suspects(bench: Bench, *ids: int) -> dict[int, tuple[int, int]]:
    """Let another process take over; the levels and deaths of some messages."""
    async with fetching(bench, "next") as session:
        await session.take(PLACES)
        return {id_: known[:2] for id_, known in (await session.suspects(ids)).items()}


async def test_a_new_queue_needs_no_care(bench: Bench) -> None:
    """Nobody died."""
    assert {None} == {taken.careful for taken in await die(bench, "one")}


async def test_what_a_dead_process_owned_is_taken_with_care(bench: Bench) -> None:
    """From the snapshot of the take, until it is said that it is through."""
    await die(bench, "one")
    assert None not in {each.careful for each in await die(bench, "two")}
    async with fetching(bench, "three") as session:
        taken = await session.take(PLACES)
        await session.end_care([each.fence for each in taken[1:]])
        await session.release([each.fence for each in taken])
    async with fetching(bench, "four") as session:
        assert [1] == [1 for each in await session.take(PLACES) if each.careful is not None]


async def test_what_was_given_back_needs_no_care(bench: Bench) -> None:
    """Its owner had settled everything."""
    async with fetching(bench, "one") as session:
        await session.prepare([QUEUE])
        await session.join([QUEUE])
        await session.release(await take_all(session))
    assert {None} == {taken.careful for taken in await die(bench, "two")}


async def test_who_was_about_to_leave_accuses_nobody(bench: Bench) -> None:
    """It was told to stop, and killed when that took too long."""
    await die(bench, "one")
    async with fetching(bench, "two") as session:
        await session.join([QUEUE])
        taken = await session.take(PLACES)
        await session.end_care([each.fence for each in taken])
        await session.begin_trials([TrialRow(taken[0].fence, 0, [1, 2], 0.0)])
        await session.join([])
    async with fetching(bench, "three") as session:
        assert {None} == {taken.careful for taken in await session.take(PLACES)}
        assert await session.suspects([1, 2]) == {}


async def test_a_process_that_comes_back_accuses_nobody(bench: Bench) -> None:
    """Its session broke, and it lives."""
    await die(bench, "one", (0, [1, 2], LONG))
    assert {None} == {taken.careful for taken in await die(bench, "one")}
    async with fetching(bench, "one") as session:
        assert await session.suspects([1, 2]) == {}


async def test_suspicion_grows_by_steps(bench: Bench) -> None:
    """From a group to one at a time, to alone; then deaths count."""
    await die(bench, "one", (0, [1, 2, 3], LONG))
    assert await suspects(bench, 1, 2, 3, 4) == {1: (1, 0), 2: (1, 0), 3: (1, 0)}
    await die(bench, "two", (1, [2], LONG), (0, [4], LONG))
    assert await suspects(bench, 1, 2, 3, 4) == {1: (1, 0), 2: (2, 0), 3: (1, 0), 4: (1, 0)}
    await die(bench, "three", (2, [2], LONG))
    assert await suspects(bench, 2) == {2: (2, 1)}
    await die(bench, "four", (2, [2], LONG))
    assert await suspects(bench, 2) == {2: (2, 2)}


async def test_a_death_soon_after_the_start_does_not_count(bench: Bench) -> None:
    """The process may have been killed whatever it did; it has to live longer before the next trial."""
    await die(bench, "one", (2, [1], 0.0))
    async with fetching(bench, "two") as session:
        await session.take(PLACES)
        ((level, deaths, patience),) = (await session.suspects([1])).values()
        assert (level, deaths) == (2, 0)
        assert patience >= 0


async def test_a_trial_replaces_the_last_of_its_level(bench: Bench) -> None:
    """What was in work before is done."""
    async with fetching(bench, "one") as session:
        await session.prepare([QUEUE])
        await session.join([QUEUE])
        fence: Fence = (await session.take(PLACES))[0].fence
        await session.begin_trials([TrialRow(fence, 0, [1, 2], LONG)])
        await session.begin_trials([TrialRow(fence, 0, [3], LONG)])
    assert await suspects(bench, 1, 2, 3) == {3: (1, 0)}


async def test_when_a_partition_is_through_nothing_of_it_is_suspected(bench: Bench) -> None:
    """Neither by earlier deaths nor by a later one; other partitions keep what is known."""
    await die(bench, "one", (0, [1, 2], LONG))
    async with fetching(bench, "two") as session:
        await session.join([QUEUE])
        taken = await session.take(PLACES)
        assert (await known(session)).keys() == {1, 2}
        await session.begin_trials([TrialRow(taken[0].fence, 1, [1], LONG)])
        await session.end_care([taken[1].fence])
        assert (await known(session)).keys() == {1, 2}
        await session.end_care([taken[0].fence])
        assert await known(session) == {}
    assert await suspects(bench, 1, 2) == {}


async def known(session: FetchSession) -> dict[int, Suspect]:
    """What is known of the first messages."""
    return await session.suspects([1, 2, 3])
