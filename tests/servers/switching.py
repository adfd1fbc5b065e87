"""Scenarios: planned switchovers. Nothing acknowledged is lost; the work goes on on the new primary."""

from tests.proxy import open_proxy
from tests.waiting import eventually

from .cluster import Cluster, aside, open_cluster
from .records import Records
from .scene import Weakness, at_work, back_at_work, busy, deserted, furnish, judge, strong, survive
from .server import Server


async def planned_switchover() -> list[str]:
    """Stop the primary in order, and promote the standby."""

    async def fault(bed: Cluster) -> Server:
        await aside(bed.a.stop)
        await bed.replace(bed.b)
        return bed.b

    return await survive(fault)


async def demote(bed: Cluster) -> None:
    """Stop the primary in order and start it as a standby, before there is another primary."""
    await aside(bed.a.stop)
    await aside(bed.a.follow, bed.b)
    await aside(bed.a.start)


async def the_old_primary_stays(weaken: Weakness = strong) -> list[str]:
    """Leave a standby at the first of the hosts: it takes connections, and no writes."""
    async with open_cluster() as bed:
        await furnish(bed, weaken)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await demote(bed)
            await bed.replace(bed.b)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
            await deserted(bed.a)
        return await judge(bed.b, records, may_forget=False)


async def an_address_moves(weaken: Weakness = strong) -> list[str]:
    """Demote the primary behind one address, then move the address; links to the old server are not cut."""
    async with open_cluster() as bed, open_proxy(bed.a.url) as proxy:
        await furnish(bed, weaken)
        records = Records()
        async with at_work(proxy.url, records) as runtime:
            await busy(records)
            await demote(bed)
            seen = proxy.accepted
            await eventually(lambda: proxy.accepted > seen + 6)  # it tries to go on there
            await bed.replace(bed.b)
            proxy.point(bed.b.url)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
            await deserted(bed.a)
        return await judge(bed.b, records, may_forget=False)


async def there_and_back() -> list[str]:
    """Switch over twice, back to the first server, which followed the other meanwhile."""
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            for old, new in ((bed.a, bed.b), (bed.b, bed.a)):
                await busy(records)
                await aside(old.stop)
                await bed.replace(new)
                await aside(old.follow, new)
                await aside(old.start)
                await bed.streaming(new, old)
                await back_at_work(runtime, records, new)
        return await judge(bed.a, records, may_forget=False)
