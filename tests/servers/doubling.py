"""Scenarios: two servers that both take writes. A runtime works with one, that of the newer timeline."""

import rolebook as rb
from tests.chaos.ledger import settings

from .cluster import aside, open_cluster
from .office import office
from .records import Records
from .scene import (
    BACK,
    Weakness,
    at_work,
    back_at_work,
    busy,
    deserted,
    fail_over,
    furnish,
    judge,
    strong,
    written,
)

ROLES = ("writer", "fetcher", "pool", "reader", "listener")


async def the_old_primary_returns(weaken: Weakness = strong) -> list[str]:
    """Start the old primary beside the new one, then have every session opened anew."""
    async with open_cluster() as bed:
        await furnish(bed, weaken)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await fail_over(bed)
            await back_at_work(runtime, records, bed.b)
            await aside(bed.a.start)
            before = await aside(written, bed.a)
            for role in ROLES:
                await aside(bed.b.end_sessions, role)
                await busy(records, 10)
            await deserted(bed.a)
            assert await aside(written, bed.a) == before
            await back_at_work(runtime, records, bed.b)
        return await judge(bed.b, records, may_forget=True)


async def a_start_beside_the_old_primary(weaken: Weakness = strong) -> list[str]:
    """Start a runtime while both take writes."""
    async with open_cluster() as bed:
        await furnish(bed, weaken)
        await fail_over(bed)
        await aside(bed.a.start)
        before = await aside(written, bed.a)
        async with rb.open_runtime(office(), database=bed.url, settings=settings()):
            await deserted(bed.a)
            assert await aside(bed.b.sessions)
        after = await aside(written, bed.a)
        return [] if after == before else [f"the old primary went from {before} to {after}"]


async def the_primary_is_left(weaken: Weakness = strong) -> list[str]:
    """Promote the standby beside its living primary, then end one session of the runtime there."""
    async with open_cluster() as bed:
        await furnish(bed, weaken)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await bed.caught_up(bed.b, bed.a)
            await bed.cut(bed.b)
            await bed.replace(bed.b)
            await busy(records)
            await aside(bed.a.end_sessions, "writer")
            await deserted(bed.a)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
        return await judge(bed.b, records, may_forget=True)


async def a_frozen_primary_wakes() -> list[str]:
    """Freeze the primary, promote its standby, and wake it when the work goes on on the new one.

    To reach nobody takes a while each time: the deadline of a statement and that of a connection, in turn.
    """
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(f"{bed.url}?connect_timeout=2", records, command_deadline=4) as runtime:
            await busy(records)
            await bed.caught_up(bed.b, bed.a)
            await aside(bed.a.freeze)
            await bed.replace(bed.b)
            await back_at_work(runtime, records, bed.b, within=3 * BACK)
            await aside(bed.a.wake)
            await busy(records)
            await deserted(bed.a)
        return await judge(bed.b, records, may_forget=True)
