"""Processes of two versions of an app side by side: the older one takes nothing that it cannot read."""

import pytest
import trio
from attrs import define, frozen

import rolebook as rb
from rolebook.runtime import Settings
from rolebook.runtime.contract import Store
from tests.waiting import eventually

QUICK = Settings(take_interval=0.2, poll_interval=0.5)


@rb.command("versions.add")
@frozen
class Add(rb.Command[int]):
    amount: int


@rb.event("versions.added")
@frozen
class FirstAdded:
    amount: int


@rb.event("versions.added", version=2, upcast={1: lambda old: {**old, "by": "nobody"}})
@frozen
class SecondAdded:
    amount: int
    by: str = "somebody"


@rb.actor("total")
@define
class FirstTotal:
    sum: int = 0

    @rb.decide
    def add(self, command: Add) -> rb.Effects[int]:
        yield FirstAdded(command.amount)
        return self.sum

    @rb.apply
    def added(self, event: FirstAdded) -> None:
        self.sum += event.amount


@rb.actor("total")
@define
class SecondTotal:
    sum: int = 0

    @rb.decide
    def add(self, command: Add) -> rb.Effects[int]:
        yield SecondAdded(command.amount)
        return self.sum

    @rb.apply
    def added(self, event: SecondAdded) -> None:
        self.sum += event.amount


def make_app(version: int) -> rb.App:
    """The app in one of its versions; from the second on the event says who added."""
    return rb.App("versions", actors=[FirstTotal if version == 1 else SecondTotal])


async def test_an_older_process_leaves_newer_events_to_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """It breaks no actor, says so, and asks go to the newer process as soon as there is one."""
    old, new = make_app(1), make_app(2)
    async with rb.open_runtime(old, database=store, settings=QUICK, process="old") as runtime:
        assert await runtime.ask("total", "a", Add(1)) == 1
    async with rb.open_runtime(new, database=store, settings=QUICK, process="new") as runtime:
        assert await runtime.ask("total", "a", Add(2)) == 3
    async with rb.open_runtime(old, database=store, settings=QUICK, process="old") as older:
        await eventually(lambda: "is left to newer processes" in caplog.text)
        assert older.statistics().mailbox.owned.get("total", 0) == 0
        replies: list[int] = []

        async def ask() -> None:
            replies.append(await older.ask("total", "a", Add(3)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            async with rb.open_runtime(new, database=store, settings=QUICK, process="new") as newer:
                await eventually(lambda: replies == [6])
                assert newer.statistics().mailbox.owned == {"total": store.partitions}
        assert await older.broken() == []


async def test_both_share_until_something_newer_is_stored(store: Store) -> None:
    """That a newer version has started is no reason to leave."""
    old, new = make_app(1), make_app(2)
    async with (
        rb.open_runtime(new, database=store, settings=QUICK, process="new"),
        rb.open_runtime(old, database=store, settings=QUICK, process="old") as older,
    ):
        await eventually(lambda: older.statistics().mailbox.owned == {"total": store.partitions // 2})
