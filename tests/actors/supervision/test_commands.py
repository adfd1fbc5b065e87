"""Commands that meet what is already going on."""

from contextlib import suppress

import trio
from trio.testing import MockClock

from rolebook.actors import Backoff, Child, Supervisor, open_supervisor
from rolebook.actors.supervision import Tree

from .cast import Diary, forever, returns


async def temporarily(task_status: "trio.TaskStatus[None]") -> None:
    """Be ready, and end a second later."""
    task_status.started()
    await trio.sleep(1)


async def test_a_start_that_was_asked_for_survives_the_next_failure(autojump_clock: MockClock) -> None:
    """A temporary child that waits to come up with its group does so, though the group is interrupted."""
    diary = Diary()
    children = (diary.child("a", 2), Child("b", temporarily, "temporary"))
    backoff = Backoff(first=5, jitter=0)
    spec = Supervisor("s", children, strategy="one_for_all", max_restarts=None, backoff=backoff)
    async with open_supervisor(spec) as tree:
        await trio.sleep(3)
        assert ["backing_off", "finished"] == [each.state for each in tree.snapshot().children]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tree.start, "b")
            await trio.testing.wait_all_tasks_blocked()
            await tree.restart("a")
        assert ["running", "running"] == [each.state for each in tree.snapshot().children]
    assert 3 == trio.current_time() - diary.began


async def test_what_is_brought_up_waits_for_those_before_it(autojump_clock: MockClock) -> None:
    """By whichever command: if those before it under `rest_for_one` are on their way up, it comes after."""
    for command in ("resume", "restart", "start"):
        diary = Diary()
        spec = Supervisor(
            "s",
            (diary.child("a", 10), diary.child("b", 1, 1)),
            strategy="rest_for_one",
            backoff=Backoff(first=1, jitter=0),
            max_restarts=1,
            within=2.5,
            on_exhausted="park",
        )
        async with open_supervisor(spec) as tree:
            await trio.sleep(11)
            assert ["backing_off", "parked"] == [each.state for each in tree.snapshot().children]
            del diary.lines[:]
            await getattr(tree, command)("b")
            assert [(12, "a starts"), (12, "b starts")] == diary.lines


async def test_a_child_that_is_being_stopped_can_be_started_again(autojump_clock: MockClock) -> None:
    """It starts once it has ended; with its group, if that is on its way up."""
    diary = Diary()
    for strategy in ("one_for_one", "rest_for_one"):
        children = (diary.child("a"), Child("b", diary.drains("b", 3)))
        async with open_supervisor(Supervisor("s", children, strategy=strategy)) as tree:
            for restarted in ("b", "a"):
                began = trio.current_time()
                with trio.move_on_after(1):
                    await tree.stop("b")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(tree.restart, restarted)
                    nursery.start_soon(tree.start, "b")
                assert ["running", "running"] == [each.state for each in tree.snapshot().children]
                assert 3 == trio.current_time() - began


async def test_a_stopped_child_stays_down_though_it_had_finished(autojump_clock: MockClock) -> None:
    """A transient child that had finished comes back with its group, but not once it was stopped by name."""
    children = (Child("a", forever), Child("b", returns(), "transient"))
    async with open_supervisor(Supervisor("s", children, strategy="one_for_all")) as tree:
        await trio.sleep(1)
        await tree.restart("a")
        assert 2 == tree.snapshot()["b"].incarnation
        await trio.sleep(1)
        await tree.stop("b")
        await tree.restart("a")
        assert ("stopped", 2) == ((b := tree.snapshot()["b"]).state, b.incarnation)


async def test_a_removal_is_of_one_child_not_of_a_name(autojump_clock: MockClock) -> None:
    """However many remove it: a child that was added since under its name is not touched, nor forgotten."""
    diary = Diary()

    async def replace(tree: Tree) -> None:
        while True:
            with suppress(ValueError):  # the name is still taken
                return tree.add_nowait("", "x")
            await trio.lowlevel.checkpoint()

    for _ in range(50):  # Trio runs what is due in a random order
        async with open_supervisor(Supervisor("s", template=Child("t", diary.drains("t", 0)))) as tree:
            tree.add_nowait("", "x")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(replace, tree)
                for _ in range(3):
                    nursery.start_soon(tree.remove, "x")
            assert ["x"] == [each.name for each in tree.snapshot().children]


async def test_a_removal_goes_on_though_nobody_waits(autojump_clock: MockClock) -> None:
    """The child is forgotten once it has ended; unless somebody has started it again meanwhile."""
    diary = Diary()
    async with open_supervisor(Supervisor("s", template=Child("t", diary.drains("t", 3)))) as tree:
        for name in ("x", "y"):
            tree.add_nowait("", name)
            with trio.move_on_after(1):
                await tree.remove(name)
        await tree.start("y")
        assert ["y"] == [each.name for each in tree.snapshot().children]
        await tree.remove("y")
        assert () == tree.snapshot().children


async def test_a_stop_is_over_when_the_child_has_ended(autojump_clock: MockClock) -> None:
    """Even if it is started again at that very moment."""

    async def stop(tree: Tree, diary: Diary) -> None:
        await tree.stop("a")
        diary.write("told")

    for _ in range(20):  # Trio runs what is due in a random order
        diary = Diary()
        child = Child("a", diary.readies("a", 3, cleanup=1))
        tree = Tree(Supervisor("s", (child,), strategy="one_for_all"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tree.run)
            await trio.sleep(1)
            nursery.start_soon(stop, tree, diary)
            await trio.sleep(0.5)
            await tree.start("a")
            assert [(0, "a starts"), (2, "a ends")] == diary.lines[:2]
            assert {(2, "a starts"), (2, "told")} == set(diary.lines[2:4])
            tree.request_stop()


async def test_a_child_can_be_stopped_and_started_while_its_group_starts(autojump_clock: MockClock) -> None:
    """The start of the group waits for it again, and goes on without it once it is stopped for good."""
    diary = Diary()
    children = (Child("a", diary.readies("a", 3, cleanup=1)), diary.child("b"))
    tree = Tree(Supervisor("s", children, strategy="rest_for_one"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await trio.sleep(1)
        nursery.start_soon(tree.stop, "a")
        await trio.sleep(0.5)
        with trio.fail_after(10):
            await tree.start("a")
        assert [(0, "a starts"), (2, "a ends"), (2, "a starts"), (5, "a is ready")] == diary.lines[:4]
        await trio.testing.wait_all_tasks_blocked()
        assert [(5, "b starts")] == diary.lines[4:]
        tree.request_stop()


async def test_what_joins_a_start_is_not_kept_waiting_by_what_comes_after_it(
    autojump_clock: MockClock,
) -> None:
    """A start of the group that waits for one child brings up another at once, if that comes before it."""
    diary = Diary()
    children = (diary.child("a"), Child("b", diary.readies("b", 10, cleanup=3)))
    async with trio.open_nursery() as nursery:
        tree = Tree(Supervisor("s", children, strategy="rest_for_one"))
        nursery.start_soon(tree.run)
        await trio.sleep(1)
        nursery.start_soon(tree.stop, "b")
        await tree.stop("a")
        await trio.sleep(1)
        nursery.start_soon(tree.restart, "a")
        await trio.sleep(3)
        assert [(1, "a ends"), (2, "a starts"), (4, "b ends"), (4, "b starts")] == diary.lines[2:]
        with trio.fail_after(20):
            await tree.start("b")
        tree.request_stop()
