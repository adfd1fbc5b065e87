"""Random programs on both stores: nothing is lost, done twice, out of order, or other than its events say.

`ROLEBOOK_SIMULATIONS=5000` runs more of them.
"""

# pyright: reportPrivateUsage=false

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from rolebook.runtime.handlers import ActorHandler
from rolebook.runtime.system import LocalAsk

from .cast import forgetful, ledger
from .machine import Make, simulation
from .worlds import IN_MEMORY, WITH_A_BLIND_STORE, WITH_STALE_SNAPSHOTS, Worlds, on_postgres

PROGRAMS = int(os.environ.get("ROLEBOOK_SIMULATIONS", "60"))
"""How many in memory; a tenth of it on PostgreSQL."""

COMMON = settings(
    deadline=None,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
SEARCH = settings(COMMON, max_examples=500, phases=[Phase.generate], database=None, derandomize=True)
"""For a planted bug: found is enough, and nothing is kept. A control has to find its bug in every run, so it
plays the same programs each time, whatever the seed."""


@pytest.mark.seeded
def test_in_memory() -> None:
    """In memory and in virtual time."""
    run_state_machine_as_test(simulation(IN_MEMORY), settings=settings(COMMON, max_examples=PROGRAMS))


@pytest.mark.seeded
def test_on_postgres(migrated_database: str) -> None:
    """On a database, with sessions that the server ends."""
    worlds = on_postgres(migrated_database)
    run_state_machine_as_test(
        simulation(worlds), settings=settings(COMMON, max_examples=max(1, PROGRAMS // 10))
    )


def test_asks_that_wait_for_nothing_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the gate: without it some program shows an ask that overtakes what was told before."""

    def is_due(self: ActorHandler, partition: int, ask: LocalAsk) -> bool:
        return self._knows_owner

    monkeypatch.setattr(ActorHandler, "_is_due", is_due)
    with pytest.raises(AssertionError, match="which handled"):
        run_state_machine_as_test(simulation(IN_MEMORY), settings=SEARCH)


@pytest.mark.parametrize(
    ("worlds", "make", "words"),
    [
        (IN_MEMORY, forgetful, "the state is|the reply to"),
        (WITH_STALE_SNAPSHOTS, ledger, "the state is|cannot be replayed"),
        (
            WITH_A_BLIND_STORE,
            ledger,
            "again|left|the messages|no event|was told of a failure|came to no end|happened",
        ),
    ],
    ids=["hidden state", "stale snapshots", "no check of ownership"],
)
def test_planted_bug_is_found(worlds: Worlds, make: Make, words: str) -> None:
    """The control: with a bug in the actors or in the store, some program shows it."""
    with pytest.raises(AssertionError, match=words):
        run_state_machine_as_test(simulation(worlds, make), settings=SEARCH)
