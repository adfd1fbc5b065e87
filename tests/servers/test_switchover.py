"""Planned switchovers: nothing that was acknowledged is lost, and the runtime goes where the primary is."""

from tests.proxy import open_proxy
from tests.waiting import eventually

from .cluster import Cluster, aside, open_cluster
from .records import Records
from .scene import at_work, back_at_work, busy, furnish, judge


async def test_a_planned_switchover() -> None:
    """The primary is stopped in order, the standby promoted: nothing is lost, and the work goes on there."""
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await aside(bed.a.stop)
            await bed.replace(bed.a, bed.b)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
        assert await judge(bed.b, records, may_forget=False) == []


async def demote(bed: Cluster) -> None:
    """Stop the primary in order and start it as a standby, before there is another primary."""
    await aside(bed.a.stop)
    await aside(bed.a.follow, bed.b)
    await aside(bed.a.start)


async def test_the_old_primary_stays_as_a_standby() -> None:
    """The first of the hosts takes connections and no writes: the runtime does not stay there."""
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await demote(bed)
            await bed.replace(bed.a, bed.b)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
            await eventually(lambda: aside(is_free, bed), within=15)
        assert await judge(bed.b, records, may_forget=False) == []


def is_free(bed: Cluster) -> bool:
    """Say whether no runtime has a session on the server that was the primary."""
    return not bed.a.sessions()


async def test_an_address_that_moves() -> None:
    """Behind one address the primary is demoted, and the address moves: the runtime follows it.

    Links to the old server are not cut, and while it was demoted the runtime could reach nobody else.
    """
    async with open_cluster() as bed, open_proxy(bed.a.url) as proxy:
        await furnish(bed)
        records = Records()
        async with at_work(proxy.url, records) as runtime:
            await busy(records)
            await demote(bed)
            seen = proxy.accepted
            await eventually(lambda: proxy.accepted > seen + 6)  # it tries to go on there
            await bed.replace(bed.a, bed.b)
            proxy.point(bed.b.url)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
            await eventually(lambda: aside(is_free, bed), within=15)
        assert await judge(bed.b, records, may_forget=False) == []


async def test_there_and_back() -> None:
    """Two switchovers, the second back to the first server, which followed the other meanwhile."""
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            for old, new in ((bed.a, bed.b), (bed.b, bed.a)):
                await busy(records)
                await aside(old.stop)
                await bed.replace(old, new)
                await aside(old.follow, new)
                await aside(old.start)
                await bed.streaming(new, old)
                await back_at_work(runtime, records, new)
        assert await judge(bed.a, records, may_forget=False) == []
