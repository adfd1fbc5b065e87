"""Life cycles are tables: what they do not have cannot happen, and the error says where the step leads."""

from collections.abc import Mapping
from enum import IntEnum

import pytest

from rolebook.runtime.handlers import (
    PHASE_STEPS,
    SPILL_STEPS,
    STEPS,
    IllegalStep,
    Line,
    Phase,
    PhaseStep,
    Resident,
    Spill,
    SpillStep,
    State,
    Step,
)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
def test_a_line_keeps_to_its_table(step: Step, state: State) -> None:
    """Each step leads where the table says, or is an error that names both ends of it."""
    line = Line("k", state=state)
    if (then := STEPS[step].get(state)) is not None:
        line.step(step)
        assert line.state is then
    else:
        with pytest.raises(IllegalStep, match=f"the line of key 'k' is {state.name}: {step.name} leads from"):
            line.step(step)
        assert line.state is state


@pytest.mark.parametrize("spill", Spill)
@pytest.mark.parametrize("step", SpillStep)
def test_a_spill_keeps_to_its_table(step: SpillStep, spill: Spill) -> None:
    """The same for what was dropped."""
    line = Line("k", spill=spill)
    if (then := SPILL_STEPS[step].get(spill)) is not None:
        line.spill_step(step)
        assert line.spill is then
    else:
        with pytest.raises(IllegalStep, match=f"is {spill.name}: {step.name} leads from"):
            line.spill_step(step)


def test_an_actor_keeps_to_its_table() -> None:
    """Nobody is loaded twice, and only an actor that is being loaded can be found broken."""
    resident = Resident("k", 0, Line("k"))
    resident.load("state", 3, 0)
    with pytest.raises(IllegalStep, match="actor 'k' is LOADED: LOAD leads from COLD to LOADED"):
        resident.load("state", 3, 0)
    with pytest.raises(IllegalStep, match="actor 'k' is LOADED: BREAK leads from COLD to BROKEN"):
        resident.break_down(ValueError("a hole"))
    lineage = resident.line.lineage
    resident.discard()
    assert (resident.phase, resident.state) == (Phase.COLD, None)
    assert resident.line.lineage is not lineage  # what fell with the last life does not void the next
    resident.break_down(ValueError("a hole"))
    assert resident.is_broken
    assert not resident.is_idle  # it keeps its place in memory: its messages are not looked at again


@pytest.mark.parametrize(
    ("table", "steps", "states"),
    [(STEPS, Step, State), (SPILL_STEPS, SpillStep, Spill), (PHASE_STEPS, PhaseStep, Phase)],
)
def test_every_step_and_state_is_in_its_table(
    table: Mapping[IntEnum, Mapping[IntEnum, IntEnum]], steps: type[IntEnum], states: type[IntEnum]
) -> None:
    """No step is missing, every state is left somehow, and every state is reached somehow."""
    assert set(table) == set(steps)
    assert {state for ways in table.values() for state in ways} == set(states)
    assert {state for ways in table.values() for state in ways.values()} == set(states)
