"""The primary is lost and its standby takes its place: what is lost is a suffix, or nothing at all."""

import trio

from .cluster import Cluster, aside, open_cluster
from .records import Records
from .scene import at_work, back_at_work, busy, furnish, judge

DEADLINE = 1.0
"""Seconds that a statement may take in these scenarios."""


async def test_a_standby_that_lags_takes_over() -> None:
    """Killed whole, the primary had acknowledged what its standby lacks: a suffix is lost, and nothing else."""
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await bed.caught_up(bed.b, bed.a)
            await bed.cut(bed.b)
            await busy(records)
            await aside(bed.a.kill)
            await bed.replace(bed.a, bed.b)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
        assert await judge(bed.b, records, may_forget=True) == []


async def test_a_synchronous_standby_takes_over() -> None:
    """A standby that every commit waited for takes over: nothing that was acknowledged is lost."""
    async with open_cluster(synchronous=True) as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await aside(bed.a.kill)
            await bed.replace(bed.a, bed.b)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
        assert await judge(bed.b, records, may_forget=False) == []


async def wait_in_vain(bed: Cluster) -> None:
    """Cut the synchronous standby off, for longer than any deadline: commits wait for it."""
    await bed.cut(bed.b)
    await trio.sleep(4 * DEADLINE)


async def test_a_commit_that_waited_in_vain_is_no_commit() -> None:
    """What waited for a standby until its deadline was never acknowledged: with that standby it is gone."""
    async with open_cluster(synchronous=True) as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records, command_deadline=DEADLINE) as runtime:
            await busy(records)
            await wait_in_vain(bed)
            await aside(bed.a.kill)
            await bed.replace(bed.a, bed.b)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
        assert await judge(bed.b, records, may_forget=False) == []


async def test_a_synchronous_standby_that_is_away_for_a_while() -> None:
    """Commits wait beyond their deadline until the standby is there again; then all goes on, and once."""
    async with open_cluster(synchronous=True) as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records, command_deadline=DEADLINE) as runtime:
            await busy(records)
            await wait_in_vain(bed)
            await bed.mend(bed.b, bed.a)
            await back_at_work(runtime, records, bed.a)
            await busy(records)
        assert await judge(bed.a, records, may_forget=False) == []
