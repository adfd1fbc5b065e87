"""What the scenarios share: a schema on a bed, a runtime under load, its return to work, the judgement."""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

import rolebook as rb
from rolebook.runtime import Client, Runtime
from tests.chaos.ledger import settings
from tests.chaos.scene import prepare as prepare_ledger
from tests.chaos.scene import settle
from tests.chaos.weakening import slow_down
from tests.runtime.looking import Looking, looking_at
from tests.waiting import eventually

from .cluster import Cluster, aside, open_cluster
from .load import under_load
from .office import Counter, Sign, office
from .records import Records
from .server import Server

SECONDS = float(os.environ.get("ROLEBOOK_SERVERS_SECONDS", "0"))
"""How long the long scenarios are under fire; without it they are not run."""

ROUNDS = 3 + round(SECONDS / 5)
"""How often a scenario does what it does, where that can be done again."""

BACK = 10.0
"""Seconds after which a runtime is back at work, counted from the moment its server is there again."""

LATE = 0.02
"""Seconds that each commit takes: so at any moment one is under way."""


Weakness = Callable[[Looking], Awaitable[None]]
"""Takes a safeguard away from the runtime on a bed."""


async def strong(looking: Looking) -> None:
    """Take nothing away."""


async def furnish(bed: Cluster, weaken: Weakness = strong) -> None:
    """Make the schema on the primary, durably, and let commits be slow; the standby has it too."""
    async with looking_at(bed.a.url) as looking:
        await looking.do("set synchronous_commit = on")
        await prepare_ledger(looking)
        await looking.do(
            "create table public.notes (sender text, number int, message text, attempt int,"
            " at bigint generated always as identity)"
        )
        await slow_down(looking, LATE)
        await weaken(looking)


@asynccontextmanager
async def at_work(
    url: str, records: Records, process: str = "w", **changes: float
) -> AsyncGenerator[Runtime]:
    """Run the office under load for the length of a block."""
    async with (
        rb.open_runtime(office(), database=url, settings=settings(**changes), process=process) as runtime,
        under_load(runtime, records),
    ):
        yield runtime


async def busy(records: Records, more: int = 60) -> None:
    """Wait until so many more of each kind were acknowledged, or the judge has something to tell."""
    kinds = {
        "transfers": records.transfers.accepted,
        "passes": records.passes.accepted,
        "asks": records.asks.accepted,
    }
    goals = {name: len(kind) + more for name, kind in kinds.items()}

    def missing() -> dict[str, int]:
        if records.errors:
            return {}
        left = {name: goals[name] - len(kind) for name, kind in kinds.items()}
        return {name: number for name, number in left.items() if number > 0}

    with trio.move_on_after(BACK) as scope:
        await eventually(lambda: not missing())
    if scope.cancelled_caught:
        raise AssertionError(f"the work does not go on: of {more} each, {missing()} were not acknowledged")


async def back_at_work(runtime: Client, records: Records, server: Server, *, within: float = BACK) -> None:
    """Wait until an ask is answered, and the answer is on this server; not longer than so many seconds."""
    with trio.move_on_after(within) as scope:
        async with looking_at(server.url) as looking:
            await _answered_by(runtime, looking, f"probe{records.faults}")
    if scope.cancelled_caught:
        raise AssertionError(f"no ask was answered within {within:g} s by way of {server.name}")
    records.fault_is_over()


async def _answered_by(runtime: Client, looking: Looking, name: str) -> None:
    """Ask with new ids until one of them is there."""
    number = 0
    while True:
        number += 1
        id_ = f"{name}-{number}"
        with trio.move_on_after(1):
            try:
                await runtime.ask(Counter, name, Sign(id_), idempotency_key=id_)
            except (rb.OutcomeUnknown, rb.ServerForgot):
                continue
            if await looking.value(
                "select exists (select from rolebook.events where payload ->> 'id' = %s)", id_
            ):
                return


async def judge(server: Server, records: Records, *, may_forget: bool, within: float = 20) -> list[str]:
    """Let what is left on the server be finished, and return what is not as promised."""
    async with looking_at(server.url) as looking:
        try:
            await settle(server.url, looking, office(), within=within)
        except trio.TooSlowError:
            restless = [f"it did not come to rest within {within:g} s"]
        else:
            restless = []
        return [*restless, *await records.violations(looking, may_forget=may_forget)]


async def fail_over(bed: Cluster) -> None:
    """Lose the primary, and have the standby in its place, which has all of it."""
    await bed.caught_up(bed.b, bed.a)
    await aside(bed.a.kill)
    await bed.replace(bed.b)


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


async def survive(
    fault: Callable[[Cluster], Awaitable[Server]],
    weaken: Weakness = strong,
    *,
    synchronous: bool = False,
    **changes: float,
) -> list[str]:
    """Let something happen once under load that loses nothing which was acknowledged, and judge.

    Args:
        fault: What happens; it returns the server that is the right one then.
        weaken: Takes a safeguard away.
        synchronous: Whether commits wait for the standby.
        changes: Of the runtime's settings.
    """
    async with open_cluster(synchronous=synchronous) as bed:
        await furnish(bed, weaken)
        records = Records()
        async with at_work(bed.url, records, "w", **changes) as runtime:
            await busy(records)
            server = await fault(bed)
            await back_at_work(runtime, records, server)
            await busy(records)
        return await judge(server, records, may_forget=False)
