"""A server that forgets what it acknowledged, because it was told not to flush, and stays the same server.

System, timeline, transaction ids, message ids, epochs: all are as they were a moment ago, and are used again.
"""

from .cluster import Cluster, aside, open_cluster
from .records import Records
from .scene import ROUNDS, at_work, back_at_work, busy, furnish, judge
from .server import FORGETFUL


async def forget(bed: Cluster, records: Records, *, whole: bool) -> list[str]:
    """Kill the server, or one backend, under load; return what is wrong afterwards.

    In the first round it forgets from the beginning, who owns what too; in the others, what came after a
    point in the middle of the work.
    """
    await furnish(bed)
    await aside(bed.a.stop)
    await aside(bed.a.start)  # its ten seconds begin
    async with at_work(bed.a.url, records) as runtime:
        for number in range(ROUNDS):
            if number:
                await aside(bed.a.remember)
            await busy(records)
            if whole:
                await aside(bed.a.kill)
                await aside(bed.a.start)
            else:
                await aside(bed.a.kill_backend, "rolebook % pool")
            await bed.returned(bed.a)
            await back_at_work(runtime, records, bed.a)
            await busy(records)
    return await judge(bed.a, records, may_forget=True)


async def test_a_backend_is_killed() -> None:
    """SIGKILL of one backend makes its server forget; what it still knows happens once, whole, in order."""
    async with open_cluster(FORGETFUL, standby=False) as bed:
        records = Records()
        assert await forget(bed, records, whole=False) == []


async def test_a_server_is_killed() -> None:
    """A server that is killed whole and started forgets; what it still knows happens once, whole, in order."""
    async with open_cluster(FORGETFUL, standby=False) as bed:
        records = Records()
        assert await forget(bed, records, whole=True) == []
