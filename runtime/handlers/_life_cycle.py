"""A life cycle as a table that is executed: which step leads from which state to which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeVar

State = TypeVar("State", bound=IntEnum)
Step = TypeVar("Step", bound=IntEnum)


class IllegalStep(RuntimeError):
    """A step that the table does not have: a fault of this program, found where it is made."""


def after(table: Mapping[Step, Mapping[State, State]], step: Step, state: State, what: str) -> State:
    """Return the state after a step.

    Args:
        table: For each step, the states it may be taken in, and where it leads.
        step: The step taken.
        state: The state now.
        what: Whose life cycle it is, for the error.

    Raises:
        IllegalStep: Naming the step and the state.
    """
    try:
        return table[step][state]
    except KeyError:
        raise IllegalStep(f"{what} is {state.name}: there is no step {step.name} from there") from None
