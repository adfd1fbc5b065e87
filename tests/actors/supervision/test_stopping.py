"""Children stop in the reverse order: asked, then cancelled, then reported."""

import asyncio  # noqa: TID251 - for the error that it raises
import signal
from contextlib import ExitStack
from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from rolebook.actors import Backoff, Child, GaveUp, Stopping, Supervisor, Tree, open_supervisor, supervise
from rolebook.actors.supervision import ChildCrashed, ChildStuck

from .cast import Boom, Diary, forever, raises


async def test_children_are_asked_in_turn_and_may_finish(autojump_clock: MockClock) -> None:
    """The one before is asked only when the one after has ended."""
    diary = Diary()
    children = (Child("a", diary.drains("a", 2)), Child("b", diary.drains("b", 3)))
    async with open_supervisor(Supervisor("s", children)):
        pass
    assert [
        (0, "b is asked"),
        (3, "b is done"),
        (3, "b ends"),
        (3, "a is asked"),
        (5, "a is done"),
        (5, "a ends"),
    ] == diary.lines


async def test_who_does_not_finish_in_time_is_cancelled(autojump_clock: MockClock) -> None:
    """Each child has its own deadline; forever has none, brutal is not asked."""
    diary = Diary()
    children = (
        Child("slow", diary.drains("slow", 10), shutdown=2),
        Child("patient", diary.drains("patient", 10), shutdown="forever"),
        Child("brutal", diary.drains("brutal", 10), shutdown="brutal"),
    )
    async with open_supervisor(Supervisor("s", children)):
        pass
    assert [
        (0, "patient is asked"),
        (10, "patient is done"),
        (10, "patient ends"),
        (10, "slow is asked"),
        (12, "slow ends"),
    ] == diary.lines


async def test_the_request_tells_the_deadline_and_interrupts_a_wait(autojump_clock: MockClock) -> None:
    """A child may wait for work under `interrupts` and knows how long it has."""
    began = trio.current_time()
    seen: list[float] = []

    async def work(stopping: Stopping) -> None:
        with stopping.interrupts() as scope:
            await trio.Event().wait()
        assert scope.cancelled_caught
        with stopping.interrupts() as scope:
            await trio.Event().wait()
        seen.append(stopping.deadline - began)

    async with open_supervisor(Supervisor("s", (Child("a", work, shutdown=7),))):
        await trio.sleep(1)
    assert [8] == seen


async def test_cancellation_from_outside_keeps_the_order_and_skips_the_request(
    autojump_clock: MockClock,
) -> None:
    """It is nobody's failure: nothing is restarted, and the scope that was cancelled catches it."""
    diary = Diary()
    children = (
        Child("a", diary.readies("a", 0, cleanup=1)),
        Child("b", diary.drains("b", 10), shutdown="forever"),
        Child("c", diary.readies("c", 0, cleanup=2)),
    )
    with trio.move_on_after(5) as scope:
        await supervise(Supervisor("s", children))
    assert scope.cancelled_caught
    assert [(7, "c ends"), (8, "a ends")] == diary.lines[-2:]


async def test_cancellation_hurries_a_polite_stop(autojump_clock: MockClock) -> None:
    """Who is just being asked is cancelled at once."""
    diary = Diary()
    child = Child("a", diary.drains("a", 10), shutdown="forever")
    with trio.move_on_after(3):
        async with open_supervisor(Supervisor("s", (Supervisor("inner", (child,)),))):
            pass
    assert [(0, "a is asked"), (3, "a ends")] == diary.lines


async def test_a_failing_body_stops_the_tree_and_its_error_comes_out(autojump_clock: MockClock) -> None:
    """As with any nursery."""
    diary = Diary()
    with pytest.RaisesGroup(Boom):
        async with open_supervisor(Supervisor("s", (diary.child("a"),))):
            raise Boom
    assert (0, "a ends") == diary.lines[-1]


async def test_an_interrupt_is_not_a_failure(autojump_clock: MockClock) -> None:
    """Out of a child deep in the tree it stops everything in order, and comes out."""
    diary = Diary()

    async def interrupted() -> None:
        await trio.sleep(1)
        raise KeyboardInterrupt

    inner = Supervisor("inner", (diary.child("b"), Child("c", interrupted)))
    with pytest.raises(BaseExceptionGroup) as caught:
        await supervise(Supervisor("s", (diary.child("a"), inner)))
    assert [(1, "b ends"), (1, "a ends")] == diary.lines[-2:]
    matched, rest = caught.value.split(KeyboardInterrupt)
    assert matched is not None
    assert rest is None


class Panic(BaseException):
    """As an extension raises it."""


@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), asyncio.CancelledError(), Panic("out of bounds")], ids=repr
)
@pytest.mark.parametrize("in_a_nursery", [False, True])
async def test_what_is_no_exception_fails_its_child_alone(
    autojump_clock: MockClock, error: BaseException, *, in_a_nursery: bool
) -> None:
    """It is restarted as after any failure, and its neighbour runs on."""
    diary = Diary()
    starts, third = 0, trio.Event()

    async def bad() -> None:
        nonlocal starts
        starts += 1
        if starts > 2:
            third.set()
            await trio.sleep_forever()
        if not in_a_nursery:
            raise error
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise error

    async with open_supervisor(Supervisor("s", (diary.child("a"), Child("bad", bad)))) as tree:
        await third.wait()
        # The nursery of a child names what came out of it in a group.
        assert "BaseException" in (tree.snapshot()["bad"].last_error or "")
        assert [(0, "a starts")] == diary.lines


def test_an_interrupt_of_the_main_task_keeps_the_order() -> None:
    """Ctrl-C while `tree.run` is all that the main task awaits: Trio raises it there, and there only."""
    ended: list[str] = []

    def child(name: str) -> Child:
        async def run(task_status: "trio.TaskStatus[None]") -> None:
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                ended.append(name)

        return Child(name, run)

    async def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    last = Child("last", interrupt, "temporary")
    tree = Tree(Supervisor("s", (child("a"), Supervisor("inner", (child("b"), child("c"))), last)))
    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(
            tree.run,
            clock=MockClock(autojump_threshold=0),
            restrict_keyboard_interrupt_to_checkpoints=True,
        )
    assert caught.value.split(KeyboardInterrupt)[1] is None
    assert ["c", "b", "a"] == ended
    assert "stopped" == tree.snapshot()["inner/b"].state


async def test_a_tree_may_be_asked_to_stop_before_it_runs(autojump_clock: MockClock) -> None:
    """Then it starts nothing, and ends at once."""
    diary = Diary()
    for _ in range(20):  # Trio runs what is due in a random order
        tree = Tree(Supervisor("s", (diary.child("a"), Supervisor("inner", (diary.child("b"),)))))
        tree.request_stop()
        await tree.run()
        assert "stopped" == tree.snapshot().state
        with trio.move_on_after(0):
            await supervise(tree.spec)
    assert [] == diary.lines


async def test_the_backoff_ends_at_once_when_the_tree_stops(autojump_clock: MockClock) -> None:
    """Nothing is restarted once the stop has begun."""
    diary = Diary()
    backoff = Backoff(first=1000, cap=1000, jitter=0)
    for strategy in ("one_for_one", "one_for_all"):
        spec = Supervisor("s", (diary.child("a", 1),), strategy=strategy, backoff=backoff, max_restarts=None)
        began = trio.current_time()
        async with open_supervisor(spec):
            await trio.sleep(2)
        assert 2 == trio.current_time() - began
    assert 2 == sum(text == "a starts" for _, text in diary.lines)


async def test_a_stop_during_the_start_takes_down_what_had_started(autojump_clock: MockClock) -> None:
    """Cancelled or asked, before it was ready."""
    for cancelled in (True, False):
        diary = Diary()
        stopping = Stopping()
        spec = Supervisor("s", (diary.child("a"), Child("b", diary.readies("b", 10)), diary.child("c")))
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(_later, 1, scope.cancel if cancelled else stopping.set)
                await supervise(spec, stopping=stopping)
        assert [(0, "a starts"), (0, "b starts"), (1, "b ends"), (1, "a ends")] == diary.lines


async def _later(seconds: float, do: object) -> None:
    await trio.sleep(seconds)
    assert callable(do)
    do()


async def test_an_error_during_the_stop_is_told_and_stops_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and an event; the others are stopped as well."""
    diary = Diary()

    async def clumsy() -> None:
        try:
            await trio.Event().wait()
        except trio.Cancelled as cancelled:
            raise Boom from cancelled

    async with open_supervisor(Supervisor("s", (diary.child("a"), Child("b", clumsy)))) as tree:
        events = tree.events()
    crashes = [event async for event in events if isinstance(event, ChildCrashed)]
    assert [("s/b", 0)] == [(event.path, event.attempt) for event in crashes]
    assert "child 's/b' failed" in caplog.text
    assert (0, "a ends") == diary.lines[-1]


async def test_a_child_that_shields_itself_is_reported_with_its_stack(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """By name, and by where it and its tasks stand, instead of hanging in silence."""

    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(dig_in)

    async def dig_in() -> None:
        await trio.sleep(60)

    diary = Diary()
    spec = Supervisor("s", (Supervisor("inner", (Child("mule", stubborn, shutdown=2),)),))
    async with open_supervisor(spec) as tree:
        events = tree.events()
    [stuck] = [event async for event in events if isinstance(event, ChildStuck)]
    assert ("s/inner/mule", 2) == (stuck.path, stuck.at - diary.began)
    assert "dig_in" in stuck.stack
    assert "await trio.sleep(60)" in stuck.stack
    assert "s/inner/mule" in caplog.text
    assert 60 == trio.current_time() - diary.began


async def test_a_start_that_shields_itself_is_reported_too(autojump_clock: MockClock) -> None:
    """After start_timeout it is cancelled, and after its shutdown it is reported."""
    diary = Diary()

    async def stubborn(task_status: "trio.TaskStatus[None]") -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    spec = Supervisor("s", (Child("mule", stubborn, "temporary", 2, start_timeout=3), Child("b", forever)))
    async with trio.open_nursery() as nursery:
        tree = await nursery.start(_run_and_collect, spec, seen := list[ChildStuck]())
        await trio.lowlevel.checkpoint()
        tree.cancel()
    assert [5] == [event.at - diary.began for event in seen]


async def _run_and_collect(
    spec: Supervisor,
    seen: list[ChildStuck],
    task_status: "trio.TaskStatus[trio.CancelScope]" = trio.TASK_STATUS_IGNORED,
) -> None:
    tree = Tree(spec)
    events = tree.events()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
            task_status.started(scope)
    seen += [event async for event in events if isinstance(event, ChildStuck)]


async def test_giving_up_while_cancelled_is_not_forgotten(autojump_clock: MockClock) -> None:
    """The first error counts: a cancellation that comes during the stop does not hide it."""
    diary = Diary()
    spec = Supervisor(
        "s", (Child("a", diary.readies("a", 0, cleanup=5)), Child("b", raises(Boom()))), max_restarts=0
    )
    with pytest.raises(GaveUp), trio.move_on_after(2):
        await supervise(spec)


async def test_a_deadline_of_the_tree_cuts_the_allowances_short(autojump_clock: MockClock) -> None:
    """Each child has what it has itself, or what is left, if that is less; the order stays."""
    diary = Diary()
    inner = Supervisor("inner", (Child("b", diary.drains("b", 10), shutdown="forever"),))
    children = (
        Child("a", diary.drains("a", 1), shutdown=5),
        inner,
        Child("c", diary.drains("c", 10), shutdown=2),
        Child("d", diary.drains("d", 10), shutdown=1),
    )
    stopping = Stopping(7)
    async with open_supervisor(Supervisor("s", children), stopping=stopping):
        pass
    assert [
        (0, "d is asked"),
        (1, "d ends"),
        (1, "c is asked"),
        (3, "c ends"),
        (3, "b is asked"),
        (7, "b ends"),
    ] == diary.lines, "a was cancelled without being asked"
    assert 7 == trio.current_time() - diary.began
    assert diary.began + 7 == stopping.deadline


async def test_a_reserve_outlasts_the_deadline(autojump_clock: MockClock) -> None:
    """Who has one is asked, and has it, also under supervisors, when others have used up the time."""
    diary = Diary()
    children = (
        Child("first", diary.drains("first", 3), reserve=3),
        Supervisor("inner", (Child("second", diary.drains("second", 10), shutdown=60, reserve=2),)),
        Child("last", diary.drains("last", 1000), shutdown="forever"),
    )
    async with open_supervisor(Supervisor("s", children), stopping=Stopping(7)):
        pass
    assert [
        (0, "last is asked"),
        (7, "last ends"),
        (7, "second is asked"),
        (9, "second ends"),
        (9, "first is asked"),
        (10, "first ends"),
    ] == diary.lines


@pytest.mark.parametrize("way", ["asked", "told", "cancelled", "gave up", "interrupted"])
async def test_every_end_is_announced(autojump_clock: MockClock, way: str) -> None:
    """Whoever holds the request hears of it the moment the tree begins to stop, whatever the reason."""
    diary, stopping, heard = Diary(), Stopping(7), list[float]()

    async def listens() -> None:
        await stopping.wait()
        heard.append(trio.current_time() - diary.began)

    async def breaks() -> None:
        await trio.sleep(2)
        raise KeyboardInterrupt if way == "interrupted" else Boom

    children = [Child("a", diary.drains("a", 10), shutdown="forever")]
    if way in ("gave up", "interrupted"):
        children.append(Child("b", breaks))
    tree = Tree(Supervisor("s", children, max_restarts=0))
    raises = (pytest.raises(BaseExceptionGroup),) if len(children) > 1 else ()
    with ExitStack() as stack:
        for each in raises:
            stack.enter_context(each)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listens)
            with trio.CancelScope(deadline=diary.began + 2 if way == "cancelled" else float("inf")):
                if way == "asked":
                    nursery.start_soon(_later, 2, tree.request_stop)
                elif way == "told":
                    nursery.start_soon(_later, 2, stopping.set)
                await tree.run(stopping=stopping)
    assert [2] == heard
    assert (9 if way in ("asked", "told", "gave up") else 2) == trio.current_time() - diary.began


async def test_a_stop_that_was_begun_before_is_held_to_the_deadline(autojump_clock: MockClock) -> None:
    """A child that is being stopped by name, and one in a group that is being restarted, end by it too."""
    diary = Diary()
    inner = Supervisor("inner", (Child("b", diary.drains("b", 100), shutdown="forever"),))
    children = (Child("a", diary.drains("a", 100), shutdown=60), inner)
    tree = Tree(Supervisor("s", children))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(tree.run, stopping=Stopping(7)))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            async with trio.open_nursery() as commands:
                commands.start_soon(tree.stop, "a")
                commands.start_soon(tree.restart, "inner")
        tree.request_stop()
    assert [(8, "a ends"), (8, "b ends")] == sorted(diary.lines[-2:])


async def test_a_later_deadline_changes_nothing(autojump_clock: MockClock) -> None:
    """The first request counts; its own deadline may be earlier than what the tree would have."""
    diary, stopping = Diary(), Stopping(7)
    child = Child("a", diary.drains("a", 100), shutdown="forever")
    async with open_supervisor(Supervisor("s", (child,)), stopping=stopping):
        stopping.set(trio.current_time() + 3)
        stopping.set(trio.current_time() + 1)
        await trio.sleep(0.5)
    assert (3, "a ends") == diary.lines[-1]
