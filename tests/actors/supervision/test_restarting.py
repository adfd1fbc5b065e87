"""Who is restarted, when, and until when."""

import pytest
import trio
from trio.testing import MockClock

from rolebook.actors import Backoff, Child, GaveUp, Supervisor, open_supervisor, supervise
from rolebook.actors.supervision import ChildFailed

from .cast import AT_ONCE, Boom, Diary, raises, returns

STEADY = Backoff(first=1, factor=2, cap=8, healthy_after=10, jitter=0)


async def test_one_for_one_restarts_the_failed_child(autojump_clock: MockClock) -> None:
    """After the backoff; the siblings do not notice."""
    diary = Diary()
    spec = Supervisor("s", (diary.child("a"), diary.child("b", 2), diary.child("c")), backoff=STEADY)
    async with open_supervisor(spec):
        await trio.sleep(5)
        assert [
            (0, "a starts"),
            (0, "b starts"),
            (0, "c starts"),
            (2, "b ends"),
            (3, "b starts"),
        ] == diary.lines


async def test_one_for_all_stops_all_before_it_waits(autojump_clock: MockClock) -> None:
    """Clean-up first, to its end; then the wait; then all start again in their order."""
    diary = Diary()
    children = (Child("a", diary.readies("a", 0, cleanup=0.5)), diary.child("b", 2), diary.child("c"))
    async with open_supervisor(
        Supervisor("s", children, strategy="one_for_all", backoff=STEADY, max_restarts=2)
    ):
        del diary.lines[:]
        await trio.sleep(5)
        assert [
            (2, "b ends"),
            (2, "c ends"),
            (2.5, "a ends"),
            (3.5, "a starts"),
            (3.5, "a is ready"),
            (3.5, "b starts"),
            (3.5, "c starts"),
        ] == diary.lines


async def test_rest_for_one_restarts_those_after_it(autojump_clock: MockClock) -> None:
    """Those before it go on."""
    diary = Diary()
    children = (diary.child("a"), diary.child("b", 2), diary.child("c"))
    async with open_supervisor(Supervisor("s", children, strategy="rest_for_one", backoff=STEADY)):
        del diary.lines[:]
        await trio.sleep(5)
        assert [(2, "b ends"), (2, "c ends"), (3, "b starts"), (3, "c starts")] == diary.lines


async def test_the_backoff_grows_and_is_reset_by_sustained_health(autojump_clock: MockClock) -> None:
    """Waits of 1, 2, 4 seconds; ten healthy seconds start it again."""
    diary = Diary()
    spec = Supervisor("s", (diary.child("a", 1, 1, 1, 10, 1),), max_restarts=None, backoff=STEADY)
    async with open_supervisor(spec):
        await trio.sleep(30)
        starts = [at for at, text in diary.lines if text == "a starts"]
        assert [0, 1 + 1, 3 + 2, 6 + 4, 20 + 1, 22 + 2] == starts


async def test_too_many_restarts_in_the_window_give_up_with_the_history(autojump_clock: MockClock) -> None:
    """All others are stopped; the error is a group that names child, attempt and time of each failure."""
    diary = Diary()
    children = (diary.child("a"), diary.child("b", 1, 1, 1))
    with pytest.raises(GaveUp) as caught:
        await supervise(Supervisor("s", children, max_restarts=2, within=10, backoff=STEADY))
    assert [(6, "b ends"), (6, "a ends")] == diary.lines[-2:]
    failures = [each for each in caught.value.exceptions if isinstance(each, ChildFailed)]
    assert [("s/b", 1, 1), ("s/b", 2, 3), ("s/b", 3, 6)] == [
        (each.path, each.attempt, each.at - diary.began) for each in failures
    ]
    matched, rest = caught.value.split(Boom)
    assert matched is not None
    assert rest is None
    assert isinstance(matched, GaveUp)


async def test_the_history_holds_what_led_to_giving_up(autojump_clock: MockClock) -> None:
    """Each failure in the window that counted; not that of a temporary child in between."""
    diary = Diary()
    spec = Supervisor(
        "s",
        (diary.child("a", 1, 70, 2), Child("b", diary.runs("b", 72), "temporary")),
        max_restarts=1,
        within=60,
        backoff=AT_ONCE,
    )
    with pytest.raises(GaveUp) as caught:
        await supervise(spec)
    failures = [each for each in caught.value.exceptions if isinstance(each, ChildFailed)]
    assert [("s/a", 71), ("s/a", 73)] == [(each.path, each.at - diary.began) for each in failures]


async def test_a_count_of_restarts_has_no_bound(autojump_clock: MockClock) -> None:
    """However many are allowed."""
    diary = Diary()
    async with open_supervisor(Supervisor("s", (diary.child("a", 1),), max_restarts=10**30)) as tree:
        await trio.sleep(5)
        assert 2 == tree.snapshot()["a"].incarnation


async def test_a_cancellation_that_somebody_had_kept_is_a_failure(autojump_clock: MockClock) -> None:
    """Alone or in a group, it is not taken for a cancellation: only that child is restarted."""
    kept: list[trio.Cancelled] = []
    with trio.move_on_after(0):
        try:
            await trio.sleep(1)
        except trio.Cancelled as cancelled:
            kept.append(cancelled)
            raise
    diary = Diary()
    spec = Supervisor(
        "s",
        (
            diary.child("a"),
            Child("b", raises(kept[0]), "temporary"),
            Child("c", raises(BaseExceptionGroup("", [kept[0]])), "temporary"),
            Child("d", raises(BaseExceptionGroup("", [kept[0], Boom("d")])), "temporary"),
        ),
    )
    async with open_supervisor(spec) as tree:
        await trio.sleep(1)
        a, b, c, d = tree.snapshot().children
        assert ("running", 1) == (a.state, a.incarnation)
        assert ["failed"] * 3 == [each.state for each in (b, c, d)]
        for each in (b, c):
            assert (each.last_error or "").startswith(f"CancelledByNobody: child {each.path!r} raised")
        assert "Boom: d" == d.last_error


async def test_restarts_further_apart_than_the_window_never_give_up(autojump_clock: MockClock) -> None:
    """The window slides."""
    diary = Diary()
    spec = Supervisor("s", (diary.child("a", *[6.0] * 20),), max_restarts=1, within=5)
    async with open_supervisor(spec):
        await trio.sleep(1000)
    assert 21 == sum(text == "a starts" for _, text in diary.lines)


async def test_giving_up_is_a_failure_for_the_supervisor_above(autojump_clock: MockClock) -> None:
    """It restarts the whole branch, until it has enough of it, and keeps the history of histories."""
    diary = Diary()
    inner = Supervisor("inner", (Child("a", raises(Boom())),), max_restarts=1, backoff=Backoff(first=0))
    outer = Supervisor("outer", (inner, diary.child("b")), max_restarts=1, backoff=Backoff(first=0))
    with pytest.raises(GaveUp) as caught:
        await supervise(outer)
    [first, second] = caught.value.exceptions
    assert isinstance(first, ChildFailed)
    assert isinstance(second, ChildFailed)
    assert isinstance(first.exceptions[0], GaveUp)
    assert "outer/inner" == first.path
    inner_failures = [each for each in first.exceptions[0].exceptions if isinstance(each, ChildFailed)]
    assert ["outer/inner/a"] * 2 == [each.path for each in inner_failures]


async def test_a_temporary_sibling_goes_down_with_its_group_and_stays_down(autojump_clock: MockClock) -> None:
    """It is stopped with the others, and not started again; a transient one that had finished is."""
    diary = Diary()
    children = (
        Child("t", diary.runs("t"), "temporary"),
        Child("f", returns(), "transient"),
        diary.child("a", 1),
    )
    spec = Supervisor("s", children, strategy="one_for_all", backoff=Backoff(first=0))
    async with open_supervisor(spec) as tree:
        await trio.sleep(2)
        assert ["stopped", "finished", "running"] == [each.state for each in tree.snapshot().children]
        assert [1, 2, 2] == [each.incarnation for each in tree.snapshot().children]


async def test_a_failure_in_the_middle_of_a_recovery_starts_it_over(autojump_clock: MockClock) -> None:
    """While `b` waits, `a` before it fails: one recovery for both, and nothing is started twice."""
    diary = Diary()
    children = (diary.child("a", 2.5), diary.child("b", 2))
    spec = Supervisor("s", children, strategy="rest_for_one", backoff=STEADY)
    async with open_supervisor(spec):
        del diary.lines[:]
        await trio.sleep(9)
        assert [(2, "b ends"), (2.5, "a ends"), (4.5, "a starts"), (4.5, "b starts")] == diary.lines


async def test_a_parked_child_waits_to_be_resumed(autojump_clock: MockClock) -> None:
    """It stays down, visibly; its siblings go on; resumed, it has a clean record."""
    diary = Diary()
    children = (diary.child("a", 1, 1, 1, 1), diary.child("b", 50))
    spec = Supervisor(
        "s", children, max_restarts=1, within=100, backoff=Backoff(first=0), on_exhausted="park"
    )
    async with open_supervisor(spec) as tree:
        await trio.sleep(5)
        assert ["parked", "running"] == [each.state for each in tree.snapshot().children]
        await tree.resume("b")
        await tree.resume("a")
        assert "running" == tree.snapshot()["a"].state
        await trio.sleep(1.5)
        assert "running" == tree.snapshot()["a"].state
        await trio.sleep(1)
        assert "parked" == tree.snapshot()["a"].state
        await trio.sleep(50)
        assert 1 == tree.snapshot()["b"].restarts, "what `a` used up is not counted against `b`"


async def test_a_group_is_parked_together(autojump_clock: MockClock) -> None:
    """Under one_for_all nobody stays up alone; one resume brings all back."""
    diary = Diary()
    children = (diary.child("a"), diary.child("b", 1))
    spec = Supervisor("s", children, strategy="one_for_all", max_restarts=0, on_exhausted="park")
    async with open_supervisor(spec) as tree:
        await trio.sleep(5)
        assert ["parked", "parked"] == [each.state for each in tree.snapshot().children]
        await tree.resume("a")
        await trio.sleep(5)
        assert ["running", "running"] == [each.state for each in tree.snapshot().children]


@pytest.mark.parametrize(("auto", "ends_at"), [("any_significant", 1), ("all_significant", 3)])
async def test_significant_children_shut_down_their_supervisor(
    autojump_clock: MockClock, auto: str, ends_at: float
) -> None:
    """When any, or the last, of them has ended by itself; the others are stopped and nothing failed."""
    diary = Diary()
    children = (
        diary.child("a"),
        Child("b", returns(3), "transient", significant=True),
        Child("c", returns(1), "temporary", significant=True),
    )
    await supervise(Supervisor("s", children, auto_shutdown=auto))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert [(0, "a starts"), (ends_at, "a ends")] == diary.lines


async def test_a_child_that_crashes_at_once_for_ever_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    """Neither tasks nor history grow with the restarts, and its sibling starts all the same."""
    diary = Diary()
    crashes = 0

    async def crash() -> None:
        nonlocal crashes
        crashes += 1
        if crashes < 3000:
            raise Boom
        await trio.sleep_forever()

    spec = Supervisor("s", (Child("a", crash), diary.child("b")), max_restarts=None, backoff=Backoff(first=0))
    async with open_supervisor(spec):
        assert crashes < 10
        most = 0
        while crashes < 3000:
            most = max(most, trio.lowlevel.current_statistics().tasks_living)
            await trio.lowlevel.checkpoint()
        assert most < 20


@pytest.mark.parametrize("attempt", range(20))
async def test_a_child_that_is_ready_just_after_its_sibling_failed_is_restarted_with_it(
    attempt: int, autojump_clock: MockClock
) -> None:
    """Which of the two comes first is up to the scheduler: with `one_for_all` they always start together."""
    go = trio.Event()
    starts: list[str] = []

    async def fails_once() -> None:
        starts.append("a")
        await go.wait()
        if starts.count("a") == 1:
            raise Boom
        await trio.sleep_forever()

    async def gets_ready(*, task_status: trio.TaskStatus[None]) -> None:
        starts.append("b")
        go.set()
        await trio.lowlevel.checkpoint()
        task_status.started()
        await trio.sleep_forever()

    children = (Child("a", fails_once), Child("b", gets_ready))
    spec = Supervisor("s", children, strategy="one_for_all", backoff=STEADY, max_restarts=2)
    async with open_supervisor(spec) as tree:
        await trio.sleep(5)
        assert starts == ["a", "b", "a", "b"]
        assert [child.state for child in tree.snapshot().children] == ["running", "running"]
