"""How long to wait before trying again."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolebook.actors import Backoff, InvalidSetting


def test_the_bound_grows_by_the_factor_up_to_the_cap() -> None:
    """Each bound is the last times the factor, and none is above the cap."""
    backoff = Backoff(first=1, factor=3, cap=20, jitter=0)
    assert [1.0, 3.0, 9.0, 20.0, 20.0] == [backoff.delay(attempt, Random(0)) for attempt in range(1, 6)]


def test_the_jitter_comes_after_the_cap() -> None:
    """Two who have both reached the cap do not wait equally long."""
    backoff = Backoff(first=1, cap=10)
    late = {backoff.delay(1000, Random(seed)) for seed in range(20)}
    assert len(late) == 20
    assert max(late) <= 10


def test_no_wait_stays_no_wait() -> None:
    """However many failures there were."""
    assert {0.0} == {Backoff(first=0).delay(attempt, Random(0)) for attempt in (1, 2, 1025, 10**9)}


@given(st.integers(1, 10**9), st.floats(0, 100), st.floats(1, 1e6), st.floats(0, 1), st.integers())
def test_a_delay_is_always_between_its_bounds(
    attempt: int, first: float, factor: float, jitter: float, seed: int
) -> None:
    """However late the attempt: no overflow, never below the least, never above the cap."""
    backoff = Backoff(first=first, factor=factor, cap=100, jitter=jitter)
    delay = backoff.delay(attempt, Random(seed))
    assert backoff.least(attempt) <= delay <= backoff.bound(attempt) <= 100


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("first", {"first": -1}),
        ("first", {"first": True}),
        ("first", {"first": "1"}),
        ("factor", {"factor": 0.5}),
        ("cap", {"cap": float("inf")}),
        ("cap", {"cap": float("nan")}),
        ("cap", {"first": 3, "cap": 2}),
        ("healthy_after", {"healthy_after": -0.1}),
        ("jitter", {"jitter": 1.1}),
    ],
)
def test_numbers_out_of_bounds_are_refused(path: str, setting: dict[str, float]) -> None:
    """The error names the number."""
    with pytest.raises(InvalidSetting, match=f"^{path}: ") as caught:
        Backoff(**setting)
    assert path == caught.value.path
