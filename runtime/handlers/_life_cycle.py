"""A life cycle as a table that is executed: which step leads from which state to which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeVar, final

State = TypeVar("State", bound=IntEnum)
Step = TypeVar("Step", bound=IntEnum)


@final
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
        IllegalStep: Naming the state, and between which the step leads.
    """
    try:
        return table[step][state]
    except KeyError:
        ways = ", ".join(f"{before.name} to {then.name}" for before, then in table[step].items())
        raise IllegalStep(f"{what} is {state.name}: {step.name} leads from {ways}") from None
