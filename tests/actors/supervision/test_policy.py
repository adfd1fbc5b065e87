"""The decision about an exit, as a truth table and with Hypothesis."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rolebook.actors import Backoff, Child, Supervisor
from rolebook.actors.supervision import (
    Escalate,
    Exit,
    History,
    LeaveDown,
    Park,
    Restart,
    ShutDown,
    decide,
)

Policy = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]


async def work() -> None:
    """Do nothing."""


def family(strategy: Strategy, restart: Policy = "permanent") -> Supervisor:
    """Three children, the middle one with the policy in question."""
    return Supervisor(
        "family", (Child("a", work), Child("b", work, restart), Child("c", work)), strategy=strategy
    )


@pytest.mark.parametrize(
    ("restart", "failed", "expected"),
    [
        ("permanent", False, "restart"),
        ("permanent", True, "restart"),
        ("transient", False, "finished"),
        ("transient", True, "restart"),
        ("temporary", False, "finished"),
        ("temporary", True, "failed"),
    ],
)
def test_who_is_restarted(restart: Policy, failed: bool, expected: str) -> None:
    """The table of OTP: permanent always, transient after a failure, temporary never."""
    spec = family("one_for_one", restart)
    action = decide(Exit(spec.children[1], failed, 10.0), spec, History())
    if expected == "restart":
        assert Restart(("b",), 1, History((10.0,), 1)) == action
    else:
        assert LeaveDown(expected) == action  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("strategy", "children"),
    [("one_for_one", ("b",)), ("one_for_all", ("a", "b", "c")), ("rest_for_one", ("b", "c"))],
)
def test_who_is_restarted_with_it(strategy: Strategy, children: tuple[str, ...]) -> None:
    """One, all, or those from the failed one on, in the order of their start."""
    spec = family(strategy)
    action = decide(Exit(spec.children[1], True, 0.0), spec, History())
    assert isinstance(action, Restart)
    assert children == action.children


@pytest.mark.parametrize(
    ("restarts", "at", "gives_up"),
    [
        ((), 0.0, False),
        ((1.0, 2.0), 3.0, False),
        ((1.0, 2.0, 3.0), 4.0, True),
        ((1.0, 2.0, 3.0), 6.0, True),  # both ends of the window belong to it
        ((1.0, 2.0, 3.0), 6.001, False),
    ],
)
def test_the_window_slides(restarts: tuple[float, ...], at: float, gives_up: bool) -> None:
    """More than three restarts within five seconds are too many; older ones do not count."""
    spec = family("one_for_one")
    action = decide(Exit(spec.children[0], True, at), spec, History(restarts, attempts=3))
    assert gives_up == isinstance(action, Escalate)


def test_no_restart_may_be_allowed() -> None:
    """With max_restarts=0 the first failure is one too many."""
    spec = Supervisor("s", (Child("a", work),), max_restarts=0)
    assert Escalate(1) == decide(Exit(spec.children[0], True, 0.0), spec, History())


def test_an_exhausted_supervisor_may_park() -> None:
    """What would have been restarted is parked instead."""
    spec = Supervisor(
        "s",
        (Child("a", work), Child("b", work)),
        strategy="rest_for_one",
        max_restarts=0,
        on_exhausted="park",
    )
    assert Park(("a", "b"), 1) == decide(Exit(spec.children[0], True, 0.0), spec, History())


@pytest.mark.parametrize(("healthy_for", "attempt"), [(None, 5), (59.9, 5), (60.0, 1), (1000.0, 1)])
def test_sustained_health_starts_the_count_again(healthy_for: float | None, attempt: int) -> None:
    """A shorter recovery leaves the count where it was."""
    spec = Supervisor("s", (Child("a", work),), backoff=Backoff(healthy_after=60))
    action = decide(Exit(spec.children[0], True, 0.0, healthy_for), spec, History(attempts=4))
    assert isinstance(action, Restart)
    assert attempt == action.attempt


@pytest.mark.parametrize(
    ("auto", "left", "failed", "expected"),
    [
        ("any_significant", 1, False, ShutDown("finished")),
        ("any_significant", 1, True, ShutDown("failed")),
        ("all_significant", 1, False, LeaveDown("finished")),
        ("all_significant", 0, False, ShutDown("finished")),
    ],
)
def test_significant_children_shut_down_their_supervisor(
    auto: Literal["any_significant", "all_significant"],
    left: int,
    failed: bool,
    expected: LeaveDown | ShutDown,
) -> None:
    """Any of them, or the last of them, as configured."""
    child = Child("a", work, "temporary", significant=True)
    spec = Supervisor("s", (child, Child("b", work)), auto_shutdown=auto)
    assert expected == decide(Exit(child, failed, 0.0), spec, History(significant_left=left))


@given(st.lists(st.floats(0, 100), max_size=50), st.integers(0, 5), st.floats(0.1, 50))
def test_it_gives_up_exactly_when_too_many_lie_in_one_window(
    gaps: list[float], limit: int, within: float
) -> None:
    """Checked against a count over all failures so far, kept by hand."""
    spec = Supervisor("s", (Child("a", work),), max_restarts=limit, within=within, backoff=Backoff(first=0))
    history, now, restarts = History(), 0.0, list[float]()
    for gap in gaps:
        now += gap
        action = decide(Exit(spec.children[0], True, now), spec, history)
        recent = sum(now - at <= within for at in restarts) + 1
        assert (recent > limit) == isinstance(action, Escalate)
        if not isinstance(action, Restart):
            return
        history = action.history
        restarts.append(now)
        assert len(history.restarts) <= limit


class Failures(RuleBasedStateMachine):
    """A child that fails now and then, against a count of failures in a row kept by hand."""

    def __init__(self) -> None:
        super().__init__()
        backoff = Backoff(first=1, factor=2, cap=64, healthy_after=30, jitter=0)
        self.spec = Supervisor("s", (Child("a", work),), max_restarts=None, backoff=backoff)
        self.history = History()
        self.now = 0.0
        self.in_a_row = 0

    @rule(healthy_for=st.one_of(st.none(), st.floats(0, 29.9)))
    def fail_early(self, healthy_for: float | None) -> None:
        """Fail without having been healthy for long."""
        self.in_a_row += 1
        self._fail(healthy_for)

    @rule(healthy_for=st.floats(30, 1000))
    def fail_late(self, healthy_for: float) -> None:
        """Fail after sustained health."""
        self.in_a_row = 1
        self._fail(healthy_for)

    def _fail(self, healthy_for: float | None) -> None:
        self.now += (healthy_for or 0) + 1
        action = decide(Exit(self.spec.children[0], True, self.now, healthy_for), self.spec, self.history)
        assert isinstance(action, Restart)
        assert self.in_a_row == action.attempt
        assert min(64.0, 2.0 ** (self.in_a_row - 1)) == self.spec.backoff.bound(action.attempt)
        self.history = action.history

    @invariant()
    def remembers_nothing_it_does_not_need(self) -> None:
        """Without a limit no restart is written down, however long it runs."""
        assert () == self.history.restarts


TestFailures = Failures.TestCase
