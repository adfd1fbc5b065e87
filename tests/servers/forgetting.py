"""Scenarios: a server forgets what it acknowledged, for it was told not to flush, and stays the same server.

System, timeline, transaction ids, message ids, epochs: all are as they were a moment ago, and are used again.
"""

from .cluster import aside, open_cluster
from .records import Records
from .scene import ROUNDS, Weakness, at_work, back_at_work, busy, furnish, judge, strong
from .server import FORGETFUL, Server


async def forget(server: Server, *, whole: bool) -> None:
    """Kill a whole server and start it, or one backend of it, and its server restarts itself."""
    if whole:
        await aside(server.kill)
        await aside(server.start)
    else:
        await aside(server.kill_backend, "rolebook % pool")


async def a_server_forgets(*, whole: bool, weaken: Weakness = strong) -> list[str]:
    """Let it forget again and again under load.

    In the first round it forgets from the beginning, who owns what too; in the others, what came after a
    point in the middle of the work.
    """
    async with open_cluster(FORGETFUL, standby=False) as bed:
        await furnish(bed, weaken)
        await aside(bed.a.stop)
        await aside(bed.a.start)  # its ten seconds begin
        records = Records()
        async with at_work(bed.a.url, records) as runtime:
            for number in range(ROUNDS):
                if number:
                    await aside(bed.a.remember)
                await busy(records)
                await forget(bed.a, whole=whole)
                await bed.returned(bed.a)
                await back_at_work(runtime, records, bed.a)
            await busy(records)
        return await judge(bed.a, records, may_forget=True)
