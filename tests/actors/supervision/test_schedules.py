"""The supervisor against its model: random trees, random crashes, random commands, exact times.

`ROLEBOOK_SCHEDULES` sets how many schedules are played; the first of them is that of the run's seed.
"""

import os

import attrs
import pytest

from tests import seeds

from .play import NEVER, agree, play
from .schedules import LONG_AFTER, CrowdedRandom, Leaf, Schedule, draw, draw_crowded
from .simulation import simulate

COUNT = int(os.environ.get("ROLEBOOK_SCHEDULES", "1500"))
SEED = seeds.seed()
BATCHES = 10


@pytest.mark.seeded
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_supervisor_does_what_the_model_says(batch: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each start and each end of each child happens exactly when the model says, and nothing else does."""
    caplog.set_level("CRITICAL", "rolebook.supervision")
    first = SEED + batch * COUNT // BATCHES
    for seed in range(first, SEED + (batch + 1) * COUNT // BATCHES):
        schedule = draw(seed)
        expected, actual = simulate(schedule), play(schedule)
        assert agree(expected, actual), f"repeat with ROLEBOOK_SCHEDULES=1 ROLEBOOK_SEED={seed}"
        assert_stops_in_reverse(schedule, actual.trace, actual.ended_at)


@pytest.mark.seeded
@pytest.mark.timeout(7200)
def test_nobody_waits_for_ever_when_much_happens_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """In whichever order: every command is answered, everything comes to rest, and all of it ends."""
    caplog.set_level("CRITICAL", "rolebook.supervision")
    for seed in range(SEED, SEED + COUNT // 3):
        actual = play(draw_crowded(seed), CrowdedRandom)
        repeat = f"ROLEBOOK_SEED={seed}; Trio's order is random too, so repeat it often"
        at_rest = LONG_AFTER / 2  # no schedule goes on for so long
        late = [answer for answer in actual.answers if answer[1] > at_rest or answer[2] == NEVER]
        assert [] == late, repeat
        if actual.ended_at > LONG_AFTER:
            moving = ("waiting", "starting", "stopping", "backing_off")
            assert [] == [path for path, state, _ in actual.looks[-1] if state in moving], repeat
        assert actual.ended_at < LONG_AFTER + at_rest, repeat


def assert_stops_in_reverse(
    schedule: Schedule, trace: tuple[tuple[float, str, str, int], ...], ended_at: float
) -> None:
    """Assert what holds of every trace, whatever the model says.

    Once the root was told to stop it starts nothing.
    If nothing had ended before, so that all children are still there, they end in the reverse order.
    A supervisor below goes on until its turn comes, restarts and all: those that stop before it may need it.
    """
    leaves = [f"root/{member.name}" for member in schedule.tree.members if isinstance(member, Leaf)]
    late = [(at, path, what) for at, path, what, _ in trace if at > schedule.stop_at and path in leaves]
    assert not [path for _, path, what in late if what == "start"]
    if all(at > schedule.stop_at for at, _, what, _ in trace if what == "end"):
        ends = {path: at for at, path, _ in late}
        in_order = [ends[path] for path in leaves if path in ends]
        crashed = _may_end_by_itself(schedule, ended_at)
        assert crashed or in_order == sorted(in_order, reverse=True)


def _may_end_by_itself(schedule: Schedule, ended_at: float) -> bool:
    lives = [member.lives[0] for member in schedule.tree.members if isinstance(member, Leaf) and member.lives]
    return bool(schedule.commands) or any(life.start + life.after < ended_at for life in lives)


def test_the_model_can_disagree() -> None:
    """A control: a supervisor that restarts at once where it should wait does not pass."""
    differing = 0
    for seed in range(100):
        schedule = draw(seed)
        differing += not agree(simulate(schedule), play(_impatient(schedule)))
    assert differing > 20


def _impatient(schedule: Schedule) -> Schedule:
    backoff = attrs.evolve(schedule.tree.backoff, first=0.0)
    return attrs.evolve(schedule, tree=attrs.evolve(schedule.tree, backoff=backoff))
