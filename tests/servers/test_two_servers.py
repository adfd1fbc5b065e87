"""Two servers that both take writes: a runtime works with one of them, the one with the newer timeline."""

import rolebook as rb
from tests.chaos.ledger import settings
from tests.waiting import eventually

from .cluster import Cluster, aside, open_cluster
from .office import office
from .records import Records
from .scene import BACK, at_work, back_at_work, busy, furnish, judge
from .server import Server

QUICK = "?connect_timeout=2"
"""A server that is frozen takes connections and says nothing."""


async def fail_over(bed: Cluster) -> None:
    """Lose the primary, and have the standby in its place, which has all of it."""
    await bed.caught_up(bed.b, bed.a)
    await aside(bed.a.kill)
    await bed.replace(bed.a, bed.b)


def end_session(server: Server, role: str) -> None:
    """End a session of the runtime, as an idle timeout or an administrator does."""
    server.ask(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like %s",
        f"rolebook % {role}",
    )


def written(server: Server) -> tuple[int, int]:
    """How far a server's log of transactions and its journal go: of who writes there, neither stays."""
    ((xid, position),) = server.ask(
        "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
        " (select coalesce(max(position), 0) from rolebook.events)"
    )
    return xid, position


async def deserted(server: Server) -> None:
    """Wait until no runtime has a session on a server."""
    try:
        await eventually(lambda: aside(lambda: not server.sessions()), within=BACK)
    except AssertionError:
        left = await aside(server.sessions)
        raise AssertionError(f"{server.name} is the wrong server, and has the sessions {left}") from None


async def test_the_old_primary_returns() -> None:
    """Whichever session is opened anew beside the returned one goes to the new one, and nothing to the old."""
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await fail_over(bed)
            await back_at_work(runtime, records, bed.b)
            await aside(bed.a.start)
            before = await aside(written, bed.a)
            for role in ("writer", "fetcher", "pool", "reader", "listener"):
                await aside(end_session, bed.b, role)
                await busy(records, 10)
            await deserted(bed.a)
            assert await aside(written, bed.a) == before
            await back_at_work(runtime, records, bed.b)
        assert await judge(bed.b, records, may_forget=True) == []


async def test_a_start_beside_the_old_primary() -> None:
    """A runtime that starts while both take writes works with the new one, wherever that is in its list."""
    async with open_cluster() as bed:
        await furnish(bed)
        await fail_over(bed)
        await aside(bed.a.start)
        before = await aside(written, bed.a)
        async with rb.open_runtime(office(), database=bed.url, settings=settings()):
            await deserted(bed.a)
            assert await aside(bed.b.sessions)
        assert await aside(written, bed.a) == before


async def test_a_runtime_on_the_old_primary_leaves_it() -> None:
    """The standby is promoted beside its living primary: at the next new session the runtime leaves that one."""
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await bed.caught_up(bed.b, bed.a)
            await bed.cut(bed.b)
            await bed.replace(bed.a, bed.b)
            await busy(records)
            await aside(end_session, bed.a, "writer")
            await deserted(bed.a)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
        assert await judge(bed.b, records, may_forget=True) == []


async def test_a_frozen_primary_that_wakes() -> None:
    """The primary freezes, its standby is promoted, it wakes: the runtime is on the new one, and stays there."""
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url + QUICK, records) as runtime:
            await busy(records)
            await bed.caught_up(bed.b, bed.a)
            await aside(bed.a.freeze)
            await bed.replace(bed.a, bed.b)
            await back_at_work(runtime, records, bed.b)
            await aside(bed.a.wake)
            await busy(records)
            await deserted(bed.a)
        assert await judge(bed.b, records, may_forget=True) == []
