"""Scenarios: several processes, two servers. No two are at work on one partition, each on its own server."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import trio

import rolebook as rb
from rolebook.runtime import Client
from tests.chaos.ledger import settings
from tests.chaos.scene import Worker, running
from tests.waiting import eventually

from .cluster import Cluster, aside, open_cluster
from .load import under_load
from .office import office
from .records import Records
from .scene import BACK, Weakness, back_at_work, busy, deserted, fail_over, furnish, judge, strong, written
from .weakening import Weakening


@contextmanager
def worker(bed: Cluster, name: str, weaken: Weakness = strong) -> Generator[Worker]:
    """Run a process that works with the bed, and lacks what this one lacks."""
    missing = weaken.names if isinstance(weaken, Weakening) else ()
    with running("tests.servers.worker", bed.url, name, *missing) as process:
        yield process


@asynccontextmanager
async def client(bed: Cluster, records: Records) -> AsyncGenerator[Client]:
    """Load the processes from outside."""
    async with (
        rb.open_client(office(), database=bed.url, settings=settings()) as opened,
        under_load(opened, records),
    ):
        yield opened


async def share(bed: Cluster, *names: str) -> None:
    """Wait until these processes have shared all partitions of the primary among them."""

    def owners() -> list[str | None]:
        rows = bed.primary.ask("select distinct owner from rolebook.partitions order by 1")
        return [owner for (owner,) in rows]

    with trio.move_on_after(2 * BACK) as scope:
        await eventually(lambda: aside(lambda: owners() == list(names)))
    if scope.cancelled_caught:
        raise AssertionError(f"the partitions belong to {await aside(owners)}, not to {names}")


async def a_fleet_fails_over(weaken: Weakness = strong) -> list[str]:
    """Have two processes go over to a standby that lags, and share what is there between them."""
    async with open_cluster() as bed:
        await furnish(bed, weaken)
        records = Records()
        with worker(bed, "v") as v, worker(bed, "w") as w:
            await aside(v.wait_ready)
            await aside(w.wait_ready)
            async with client(bed, records) as outside:
                await share(bed, "v", "w")
                await busy(records)
                await bed.caught_up(bed.b, bed.a)
                await bed.cut(bed.b)
                await busy(records)
                await aside(bed.a.kill)
                await bed.replace(bed.b)
                await back_at_work(outside, records, bed.b)
                await share(bed, "v", "w")
                await busy(records)
            await aside(v.end)
            await aside(w.end)
        return await judge(bed.b, records, may_forget=True)


async def a_process_joins(weaken: Weakness = strong) -> list[str]:
    """Start a second process while the old primary is there again, beside the new one."""
    async with open_cluster() as bed:
        await furnish(bed, weaken)
        records = Records()
        with worker(bed, "v") as v:
            await aside(v.wait_ready)
            async with client(bed, records) as outside:
                await busy(records)
                await fail_over(bed)
                await back_at_work(outside, records, bed.b)
                await aside(bed.a.start)
                before = await aside(written, bed.a)
                with worker(bed, "w", weaken) as w:
                    await aside(w.wait_ready)
                    await deserted(bed.a)
                    await share(bed, "v", "w")
                    await busy(records)
                    await aside(w.end)
                assert await aside(written, bed.a) == before
            await aside(v.end)
        return await judge(bed.b, records, may_forget=True)
