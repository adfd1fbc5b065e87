"""A deployment under load, one process after the other, with new versions of a command and of an event."""

from collections import defaultdict
from contextlib import ExitStack

import trio
from attrs import define, field

import rolebook as rb
from tests.chaos.ledger import settings
from tests.chaos.scene import Worker, prepare, version
from tests.chaos.versions import LISTS, SecondList, make_app
from tests.runtime.looking import Looking

PROCESSES = 3


@define(eq=False)
class Fleet:
    """Processes of both versions, and what they said at their end."""

    url: str
    options: tuple[str, ...]
    stack: ExitStack
    running: dict[str, Worker] = field(factory=dict[str, Worker])
    sent: dict[str, int] = field(factory=dict[str, int])
    broken: int = 0

    async def start(self, name: str, number: int) -> None:
        """Start a process of a version."""
        process = self.stack.enter_context(version(self.url, name, number, *self.options))
        await trio.to_thread.run_sync(process.wait_ready)
        self.running[name] = process

    async def end(self, name: str) -> None:
        """End one in order."""
        sent, broken = map(int, (await trio.to_thread.run_sync(self.running.pop(name).end)).split())
        self.sent[name] = sent
        self.broken += broken


async def deploy(url: str, looking: Looking, *options: str) -> Fleet:
    """Replace old processes by new ones; each time another old one comes late, and goes again."""
    with ExitStack() as stack:
        fleet = Fleet(url, options, stack)
        for number in range(PROCESSES):
            await fleet.start(f"old{number}", 1)
        await looking.until("select count(distinct owner) = %s from rolebook.partitions", PROCESSES)
        for number in range(PROCESSES):
            await fleet.start(f"new{number}", 2)
            await _go_on(looking)
            await fleet.start(f"late{number}", 1)
            await _go_on(looking)
            await fleet.end(f"late{number}")
            await fleet.end(f"old{number}")
        for number in range(PROCESSES):
            await fleet.end(f"new{number}")
        return fleet


async def _go_on(looking: Looking) -> None:
    """Wait until more has been handled by new processes."""
    before = await looking.value("select coalesce(max(position), 0) from rolebook.events")
    await looking.until(
        "select count(*) > 100 from rolebook.events where position > %s and version = 2", before
    )


async def test_a_rolling_deployment(database_url: str, looking: Looking) -> None:
    """Whatever either version sent is handled once and in order, and nothing breaks on the way."""
    await prepare(looking)
    fleet = await deploy(database_url, looking)
    assert fleet.broken == 0
    async with rb.open_runtime(make_app(2), database=database_url, settings=settings()) as runtime:
        with trio.fail_after(60):
            await runtime.wait_idle()
        assert await runtime.dead_letters(most=10) == []
        found: dict[str, list[int]] = defaultdict(list)
        for number in range(LISTS):
            for sender, numbers in (await runtime.read(SecondList, f"l{number}")).numbers.items():
                assert numbers == sorted(numbers)
                found[sender] += numbers
    assert {name: sorted(numbers) for name, numbers in found.items()} == {
        name: list(range(count)) for name, count in fleet.sent.items()
    }


async def test_a_rolling_deployment_control(database_url: str, looking: Looking) -> None:
    """Old processes that take what they cannot read break actors."""
    await prepare(looking)
    fleet = await deploy(database_url, looking, "blind")
    assert fleet.broken
