"""Scenarios that take longer: `make servers` runs them."""

from . import doubling, losing, switching
from .known import READ_ONLY


@READ_ONLY
async def test_there_and_back() -> None:
    """Two switchovers, the second back to the first server, which followed the other meanwhile."""
    assert await switching.there_and_back() == []


async def test_a_synchronous_standby_that_is_away_for_a_while() -> None:
    """Commits wait beyond their deadline until the standby is there again; then all goes on, and once."""
    assert await losing.a_synchronous_standby_is_away() == []


async def test_a_frozen_primary_that_wakes() -> None:
    """The primary freezes, its standby is promoted, it wakes: the runtime stays on the new one."""
    assert await doubling.a_frozen_primary_wakes() == []
