"""Planned switchovers: nothing that was acknowledged is lost, and the runtime goes where the primary is."""

from . import switching
from .known import READ_ONLY


async def test_a_planned_switchover() -> None:
    """The primary is stopped in order, the standby promoted: nothing is lost, and the work goes on there."""
    assert await switching.planned_switchover() == []


@READ_ONLY
async def test_the_old_primary_stays_as_a_standby() -> None:
    """The first of the hosts takes connections and no writes: the runtime does not stay there."""
    assert await switching.the_old_primary_stays() == []


@READ_ONLY
async def test_an_address_that_moves() -> None:
    """The primary behind one address is demoted, then the address moves: the runtime follows it."""
    assert await switching.an_address_moves() == []
