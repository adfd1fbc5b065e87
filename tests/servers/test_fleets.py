"""Several processes, two servers: never two at work on one partition, each on a server of its own."""

from . import fleets
from .known import HOLES, TIMELINE


@HOLES
async def test_a_fleet_fails_over() -> None:
    """Two processes go over to a standby that lags, and share what is there; nothing but a suffix is lost."""
    assert await fleets.a_fleet_fails_over() == []


@TIMELINE
async def test_a_process_that_joins_beside_the_old_primary() -> None:
    """One that starts while the old primary is there again joins the others on the new one."""
    assert await fleets.a_process_joins() == []
