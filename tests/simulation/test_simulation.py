"""Random programs on both stores: nothing is lost, done twice, out of order, or other than its events say."""

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import Simulation
from .worlds import in_memory

EXAMPLES = int(os.environ.get("UNDERSTUDY_SIMULATIONS", "60"))
"""Programs in memory; a tenth of it on PostgreSQL."""

COMMON = settings(
    deadline=None, stateful_step_count=30, suppress_health_check=list(HealthCheck), print_blob=True
)


def test_simulation_in_memory() -> None:
    run_state_machine_as_test(lambda: Simulation(in_memory), settings=settings(COMMON, max_examples=EXAMPLES))
