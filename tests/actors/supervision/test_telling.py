"""What the log says of failures, and who may say it in the supervisor's place."""

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rolebook.actors import Backoff, Child, InvalidSetting, Supervisor, open_supervisor
from rolebook.actors.supervision import ChildFailed, InvalidFile, load_tree

from .cast import AT_ONCE, Boom, Diary, raises

STEADY = Backoff(first=1, factor=2, cap=8, healthy_after=10, jitter=0)


@attrs.define(eq=False)
class Scribe:
    """A teller that writes down what it is told."""

    tells: bool = True
    said: list[tuple[float, str, float | None]] = attrs.field(factory=list[tuple[float, str, float | None]])

    def failed(self, failure: ChildFailed, delay: float | None) -> bool:
        self.said.append((trio.current_time(), f"{failure.path} {failure.attempt}", delay))
        return self.tells

    def recovered(self, path: str) -> None:
        self.said.append((trio.current_time(), f"{path} runs", None))


async def test_a_teller_hears_of_failures_and_of_the_end(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With the pause that follows, and once the child runs again; the log says nothing of it."""
    scribe, diary = Scribe(), Diary()
    child = Child("a", diary.runs("a", 2, 3), teller=scribe)
    async with open_supervisor(Supervisor("s", (child,), backoff=STEADY, max_restarts=None)):
        await trio.sleep(20)
    assert [
        (0, "s/a runs", None),
        (2, "s/a 1", 1),
        (3, "s/a runs", None),
        (6, "s/a 2", 2),
        (8, "s/a runs", None),
    ] == scribe.said
    assert "failed" not in caplog.text


async def test_a_group_has_recovered_when_all_of_it_runs(autojump_clock: MockClock) -> None:
    """Under one_for_all nobody has while one of them does not become ready, and then all have."""
    scribe = Scribe()
    left = 2

    async def second(task_status: trio.TaskStatus[None]) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise Boom
        task_status.started()
        await trio.sleep_forever()

    diary = Diary()
    children = (Child("a", diary.runs("a"), teller=scribe), Child("b", second, teller=scribe))
    async with open_supervisor(
        Supervisor("s", children, strategy="one_for_all", backoff=STEADY, max_restarts=None)
    ):
        assert [
            (0, "s/b 1", 1),
            (1, "s/b 2", 2),
            (3, "s/a runs", None),
            (3, "s/b runs", None),
        ] == scribe.said


async def test_who_is_ready_and_fails_at_once_has_not_recovered(autojump_clock: MockClock) -> None:
    """Between the two there is no time in which it ran."""
    scribe = Scribe()
    left = 2

    async def hasty(task_status: trio.TaskStatus[None]) -> None:
        nonlocal left
        left -= 1
        task_status.started()
        if left >= 0:
            raise Boom
        await trio.sleep_forever()

    child = Child("a", hasty, teller=scribe)
    async with open_supervisor(Supervisor("s", (child,), backoff=STEADY, max_restarts=None)):
        await trio.sleep(5)
    assert [(0, "s/a 1", 1), (1, "s/a 2", 2), (3, "s/a runs", None)] == scribe.said


async def test_a_teller_may_leave_it_to_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What it does not tell, the supervisor logs, with the traceback."""
    scribe = Scribe(tells=False)
    child = Child("a", raises(Boom("by itself")), restart="temporary", teller=scribe)
    async with open_supervisor(Supervisor("s", (child,))):
        await wait_all_tasks_blocked()
    assert [(0, "s/a 1", None)] == scribe.said[-1:]
    assert "child 's/a' failed" in caplog.text
    assert "Boom: by itself" in caplog.text


async def test_the_history_of_one_that_gave_up_is_not_told_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failure has its traceback when it happens; that its supervisor gave up is a line."""
    inner = Supervisor(
        "inner", (Child("a", raises(Boom("once"))),), max_restarts=2, backoff=AT_ONCE, restart="temporary"
    )
    async with open_supervisor(Supervisor("s", (inner,))):
        await trio.sleep(1)
    assert 3 == caplog.text.count("Traceback")
    said = [each.getMessage().split(", ")[0] for each in caplog.records if not each.exc_info]
    gave_up = "supervisor s/inner gave up: more than 2 restarts within 5 s"
    assert [gave_up, "child 's/inner' failed: attempt 1"] == said


def test_a_registered_teller_comes_with_its_child() -> None:
    """A file cannot hold one, and takes that of the child it names."""
    scribe = Scribe()
    child = Child("a", raises(Boom()), teller=scribe)
    text = 'name = "s"\n[[children]]\nname = "b"\nstart = "a"\n'
    (found,) = load_tree(text, {"a": child}).children
    assert isinstance(found, Child)
    assert found.teller is scribe
    with pytest.raises(InvalidFile, match="teller: unknown key"):
        load_tree(f'{text}teller = "me"\n', {"a": child})


def test_what_is_no_teller_is_refused() -> None:
    """When the child is made, not when it fails."""
    nobody: Any = object()
    with pytest.raises(InvalidSetting, match="is no Teller"):
        Child("a", raises(Boom()), teller=nobody)
