"""Two servers that both take writes: a runtime works with one of them, that of the newer timeline."""

from . import doubling
from .known import TIMELINE


@TIMELINE
async def test_the_old_primary_returns() -> None:
    """Whichever session is opened anew beside the old primary goes to the new one; the old gets nothing."""
    assert await doubling.the_old_primary_returns() == []


@TIMELINE
async def test_a_start_beside_the_old_primary() -> None:
    """A runtime that starts while both take writes works with the new one, wherever that is in its list."""
    assert await doubling.a_start_beside_the_old_primary() == []


@TIMELINE
async def test_a_runtime_on_the_old_primary_leaves_it() -> None:
    """The standby is promoted beside its living primary: with its next new session the runtime goes over."""
    assert await doubling.the_primary_is_left() == []
