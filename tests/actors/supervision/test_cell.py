"""The life cycle of a supervised child is a table, and every change of state is held to it."""

import pytest

from rolebook.actors.supervision import Child
from rolebook.actors.supervision._cell import NEXT, Cell, IllegalTransition, State


async def _nothing() -> None:
    """A child that has nothing to do."""


@pytest.mark.parametrize("state", NEXT)
@pytest.mark.parametrize("then", NEXT)
def test_a_child_keeps_to_its_table(state: State, then: State) -> None:
    """It becomes what the table allows; anything else is an error that names both states."""
    cell = Cell(Child("one", _nothing), "one", "top/one", state=state)
    if then in NEXT[state]:
        cell.become(then)
        assert cell.state == then
    else:
        with pytest.raises(IllegalTransition, match=f"child 'top/one' is {state} and cannot become {then}"):
            cell.become(then)
        assert cell.state == state


def test_every_state_is_reached_and_left() -> None:
    """No state is a trap, and none is there for nothing."""
    assert all(NEXT.values())
    assert set[State]().union(*NEXT.values()) == set(NEXT)
