"""The primary is lost and its standby takes its place: what is lost is a suffix, or nothing at all."""

from . import losing
from .known import CANCELLED, HOLES


@HOLES
async def test_a_standby_that_lags_takes_over() -> None:
    """The primary had acknowledged what its standby lacks: a suffix of it is lost, and nothing else."""
    assert await losing.a_standby_lags() == []


async def test_a_synchronous_standby_takes_over() -> None:
    """A standby that every commit waited for takes over: nothing that was acknowledged is lost."""
    assert await losing.a_synchronous_standby_takes_over() == []


@CANCELLED
async def test_a_commit_that_waited_in_vain_is_no_commit() -> None:
    """What waited for a standby until its deadline is not acknowledged: with that standby it is gone."""
    assert await losing.commits_wait_in_vain() == []
