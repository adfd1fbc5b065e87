"""The scenarios on a runtime that lacks what they prove: each must find something, or it proves nothing."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from . import doubling, fleets, forgetting, losing, switching
from .scene import Weakness
from .weakening import Weakening

Scenario = Callable[..., Awaitable[list[str]]]

CONTROLS: list[tuple[Scenario, tuple[str, ...]]] = [
    (partial(forgetting.a_server_forgets, whole=False), ("proof", "marker")),
    (partial(forgetting.a_server_forgets, whole=True), ("proof", "marker")),
    (losing.a_standby_lags, ("proof", "marker")),
    (losing.commits_wait_in_vain, ("waiting",)),
    (switching.the_old_primary_stays, ("primary",)),
    (switching.an_address_moves, ("primary",)),
    (doubling.the_old_primary_returns, ("timeline",)),
    (doubling.a_start_beside_the_old_primary, ("timeline",)),
    (doubling.the_primary_is_left, ("timeline",)),
    (fleets.a_process_joins, ("timeline",)),
]


async def finds(scenario: Scenario, weaken: Weakness) -> bool:
    """Say whether a scenario finds something: what is not as promised, or that the work does not go on."""
    try:
        return bool(await scenario(weaken=weaken))
    except* AssertionError:
        found = True
    return found


@pytest.mark.parametrize(("scenario", "missing"), CONTROLS)
async def test_a_scenario_control(
    scenario: Scenario, missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its safeguards a scenario fails."""
    assert await finds(scenario, Weakening(monkeypatch, missing))
