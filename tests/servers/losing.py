"""Scenarios: the primary is lost, and its standby takes its place. A suffix is lost, or nothing at all."""

import trio

from .cluster import Cluster, aside, open_cluster
from .records import Records
from .scene import ROUNDS, Weakness, at_work, back_at_work, busy, furnish, judge, strong, survive
from .server import Server

DEADLINE = 1.0
"""Seconds that a statement may take while commits wait for a standby."""


async def a_standby_lags(weaken: Weakness = strong) -> list[str]:
    """Kill a primary that acknowledged what its standby lacks; then the other way round, and so on."""
    async with open_cluster() as bed:
        await furnish(bed, weaken)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            old, new = bed.a, bed.b
            for number in range(ROUNDS):
                if number:
                    await bed.return_as_standby(new, old)
                await busy(records)
                await bed.caught_up(new, old)
                await bed.cut(new)
                await busy(records)
                await aside(old.kill)
                await bed.replace(new)
                await back_at_work(runtime, records, new)
                old, new = new, old
            await busy(records)
        return await judge(bed.primary, records, may_forget=True)


async def a_synchronous_standby_takes_over() -> list[str]:
    """Kill a primary whose commits all waited for the standby."""
    return await survive(_kill_and_replace, synchronous=True)


async def commits_wait_in_vain(weaken: Weakness = strong) -> list[str]:
    """Kill a primary whose last commits waited for the standby until their deadline."""

    async def fault(bed: Cluster) -> Server:
        await wait_in_vain(bed)
        return await _kill_and_replace(bed)

    return await survive(fault, weaken, synchronous=True, command_deadline=DEADLINE)


async def a_synchronous_standby_is_away() -> list[str]:
    """Let commits wait beyond their deadline until the standby is there again."""

    async def fault(bed: Cluster) -> Server:
        await wait_in_vain(bed)
        await bed.mend(bed.b, bed.a)
        return bed.a

    return await survive(fault, synchronous=True, command_deadline=DEADLINE)


async def wait_in_vain(bed: Cluster) -> None:
    """Cut the synchronous standby off, for longer than any deadline: commits wait for it."""
    await bed.cut(bed.b)
    await trio.sleep(4 * DEADLINE)


async def _kill_and_replace(bed: Cluster) -> Server:
    await aside(bed.a.kill)
    await bed.replace(bed.b)
    return bed.b
