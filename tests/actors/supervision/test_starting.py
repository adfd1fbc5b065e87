"""Children start in order, each when the one before it is ready."""

import pytest
import trio
from trio.testing import MockClock

from rolebook.actors import Backoff, Child, GaveUp, Supervisor, open_supervisor, supervise
from rolebook.actors.supervision import ChildFailed, EndedUnexpectedly, StartTimedOut, Tree

from .cast import AT_ONCE, Boom, Diary, forever, raises, returns


async def test_the_next_sibling_waits_for_readiness(autojump_clock: MockClock) -> None:
    """The body begins when all are ready; then they stop in the reverse order."""
    diary = Diary()
    children = (Child("a", diary.readies("a", 2)), Child("b", diary.readies("b", 3)))
    async with open_supervisor(Supervisor("s", children)):
        diary.write("open")
    assert [
        (0, "a starts"),
        (2, "a is ready"),
        (2, "b starts"),
        (5, "b is ready"),
        (5, "open"),
        (5, "b ends"),
        (5, "a ends"),
    ] == diary.lines


async def test_a_supervisor_is_ready_when_its_children_are(autojump_clock: MockClock) -> None:
    """Readiness travels up a nested tree, and the sibling after it waits."""
    diary = Diary()
    inner = Supervisor("inner", (Child("a", diary.readies("a", 2)), Child("b", diary.readies("b", 2))))
    async with open_supervisor(Supervisor("s", (inner, diary.child("c")))):
        assert (4, "c starts") == diary.lines[-1]


async def test_a_start_that_never_reports_is_a_failure(autojump_clock: MockClock) -> None:
    """After start_timeout it is cancelled, and its clean-up is waited for; then the policy applies."""
    diary = Diary()
    child = Child("a", diary.readies("a", 100, cleanup=1), start_timeout=3)
    with pytest.raises(GaveUp) as caught:
        await supervise(Supervisor("s", (child,), max_restarts=1, within=100, backoff=AT_ONCE))
    assert [(0, "a starts"), (4, "a ends"), (4, "a starts"), (8, "a ends")] == diary.lines
    first, second = caught.value.exceptions
    assert isinstance(first, ChildFailed)
    assert isinstance(second, ChildFailed)
    assert isinstance(second.exceptions[0], StartTimedOut)
    assert ("s/a", 1, "s/a", 2) == (first.path, first.attempt, second.path, second.attempt)
    assert 4 == second.at - first.at
    assert "attempt 2" in str(second)


async def test_a_failed_first_start_is_tried_again_before_the_next_sibling(autojump_clock: MockClock) -> None:
    """The siblings after it wait for it, through its backoff."""
    diary = Diary()
    attempts = 0

    async def flaky(task_status: "trio.TaskStatus[None]") -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise Boom
        task_status.started()
        await trio.sleep_forever()

    backoff = Backoff(first=1, factor=2, jitter=0)
    spec = Supervisor("s", (Child("a", flaky), diary.child("b")), backoff=backoff, max_restarts=2, within=9)
    async with open_supervisor(spec):
        assert [(3, "b starts")] == diary.lines


async def test_a_setup_task_may_just_return(autojump_clock: MockClock) -> None:
    """A transient child that returns before it reported is finished, and the start goes on."""
    diary = Diary()

    async def set_up(task_status: "trio.TaskStatus[None]") -> None:
        await trio.sleep(2)

    spec = Supervisor("s", (Child("set up", set_up, "transient"), diary.child("b")))
    async with open_supervisor(spec) as tree:
        assert "finished" == tree.snapshot()["set up"].state
        assert [(2, "b starts")] == diary.lines


async def test_a_permanent_child_must_not_return(autojump_clock: MockClock) -> None:
    """That it returned is its failure."""
    with pytest.raises(GaveUp) as caught:
        await supervise(Supervisor("s", (Child("a", returns(1)),), max_restarts=0))
    failed = caught.value.exceptions[0]
    assert isinstance(failed, ChildFailed)
    assert isinstance(failed.exceptions[0], EndedUnexpectedly)


async def test_what_is_not_awaitable_is_a_failure(autojump_clock: MockClock) -> None:
    """A start function that is not async fails as any other."""
    start = lambda: 3  # noqa: E731
    with pytest.RaisesGroup(
        pytest.RaisesGroup(pytest.RaisesExc(TypeError, match="'s/a' is not async: it returned 3"))
    ):
        await supervise(Supervisor("s", (Child("a", start),), max_restarts=0))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def test_giving_up_during_the_start_ends_it(autojump_clock: MockClock) -> None:
    """The body never begins; what had started is stopped."""
    diary = Diary()
    spec = Supervisor("s", (diary.child("a"), Child("b", raises(Boom()))), max_restarts=0)
    with pytest.RaisesGroup(pytest.RaisesGroup(pytest.RaisesGroup(Boom))):
        async with open_supervisor(spec):
            pytest.fail("it must not begin")
    assert [(0, "a starts"), (0, "a ends")] == diary.lines


async def test_it_can_be_started_by_a_nursery(autojump_clock: MockClock) -> None:
    """`nursery.start` returns the tree when all are ready."""
    diary = Diary()
    async with trio.open_nursery() as nursery:
        tree: Tree = await nursery.start(supervise, Supervisor("s", (Child("a", diary.readies("a", 2)),)))
        assert "running" == tree.snapshot().state
        tree.request_stop()
    assert "stopped" == tree.snapshot().state


async def test_a_tree_can_be_watched_while_it_starts(autojump_clock: MockClock) -> None:
    """Made first and run later, it shows who is on the way up; it runs only once."""
    tree = Tree(Supervisor("s", (Child("a", Diary().readies("a", 2)), Child("b", forever))))
    assert "waiting" == tree.snapshot().state
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await trio.sleep(1)
        assert ["starting", "starting", "waiting"] == [
            each.state for each in (tree.snapshot(), *tree.snapshot().children)
        ]
        tree.request_stop()
    with pytest.raises(RuntimeError, match="run before"):
        await tree.run()


async def test_a_tree_without_children_just_waits(autojump_clock: MockClock) -> None:
    """It is ready at once and stops at once."""
    async with open_supervisor(Supervisor("s")) as tree:
        assert () == tree.snapshot().children
