"""The times of an ending: they follow from one announcement, and add up to what was given."""

import pytest
import trio
from trio.testing import MockClock

from rolebook.runtime.contract import Ending


@pytest.mark.parametrize(("seconds", "rest"), [(10, 1), (600, 1), (2, 0.4), (0.2, 0.04)])
async def test_the_times_add_up_to_what_was_given(
    autojump_clock: MockClock, seconds: float, rest: float
) -> None:
    """Each has its moment, one after the other; the last is the end of the whole, counted from the first."""
    ending = Ending(seconds)
    assert {float("inf")} == {ending.work_until, ending.settle_until, ending.leave_until, ending.over_at}
    await trio.sleep(5)
    assert not ending.is_announced
    ending.announced.set()
    await trio.sleep(5)
    ending.announced.set()
    assert pytest.approx(rest) == ending.rest
    times = [ending.work_until, ending.settle_until, ending.leave_until, ending.over_at]
    expected = [seconds - rest, seconds - rest * 2 / 3, seconds - rest / 3, seconds]
    assert pytest.approx(expected) == [time - trio.current_time() + 5 for time in times]
