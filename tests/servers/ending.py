"""Scenarios: sessions end, and their server stays as it is. Nothing is lost, and every order is kept."""

from .cluster import aside, open_cluster
from .records import Records
from .scene import ROUNDS, at_work, busy, furnish, judge

TIMES = 6
"""How often in each round."""


async def sessions_end(*roles: str) -> list[str]:
    """End the sessions of some roles under load, one role after the other, again and again."""
    async with open_cluster(standby=False) as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.a.url, records):
            for _ in range(ROUNDS * TIMES):
                for role in roles:
                    await aside(bed.a.end_sessions, role)
                    await busy(records, 5)
        return await judge(bed.a, records, may_forget=False)
