"""Parked keys: they are listed with their reason, disturb nobody, and go on when they are resumed."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import trio
from attrs import Factory, define, evolve, frozen
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import MemoryStore, Runtime, StoppedKey
from rolebook.runtime.contract import ActorUnavailable, Store
from tests.runtime.apps import QUICK, Account, Broken, Deposit
from tests.waiting import eventually

SETTINGS = rb.Settings(partitions=4, poll_interval=0.2, take_interval=0.05, pool_size=2)


@rb.event("log.added")
@frozen
class Added:
    number: int


@rb.command("log.add")
@frozen
class Add(rb.Command[int]):
    number: int


class World:
    """What is wrong just now."""

    def __init__(self) -> None:
        self.bad_turns: set[int] = set()
        self.bad_events: set[int] = set()
        self.mailed: list[int] = []

    def app(self) -> rb.App:
        world = self

        @rb.actor("log", on_failure="park", retry=QUICK)
        @define
        class Log:
            numbers: list[int] = Factory(list[int])

            @rb.decide
            def add(self, command: Add) -> rb.Effects[int]:
                if command.number in world.bad_turns:
                    raise Broken(f"turn {command.number}")
                yield Added(command.number)
                if command.number == 99:
                    yield rb.Stop()
                return len(self.numbers)

            @rb.apply
            def added(self, event: Added) -> None:
                if event.number in world.bad_events:
                    raise Broken(f"event {event.number}")
                self.numbers.append(event.number)

        app = rb.App("app", actors=[Log])

        @app.handler("mail", on_failure="park", retry=QUICK)
        async def mail(command: Add) -> None:
            if command.number in world.bad_turns:
                raise Broken(f"mail {command.number}")
            world.mailed.append(command.number)

        return app


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def runtime(store: Store, world: World) -> AsyncGenerator[Runtime]:
    """A runtime that owns the actors."""
    async with rb.open_runtime(world.app(), database=store, settings=SETTINGS, process="here") as runtime:
        yield runtime


@pytest.fixture
async def other(store: Store, runtime: Runtime) -> AsyncGenerator[Runtime]:
    """Another process, without them."""
    app = rb.App("other", actors=[Account])
    async with rb.open_runtime(app, database=store, settings=SETTINGS, process="there") as other:
        yield other


async def broken(runtime: Runtime) -> StoppedKey:
    """Wait until one actor is broken, and return it."""

    async def found() -> bool:
        return len(await runtime.broken()) == 1

    await eventually(found)
    (only,) = await runtime.broken()
    return only


async def parked(runtime: Runtime, count: int = 1) -> list[StoppedKey]:
    """Wait until so many keys are parked."""

    async def found() -> bool:
        return len(await runtime.parked()) == count

    await eventually(found)
    return await runtime.parked()


async def journal(runtime: Runtime, key: str, *numbers: int) -> None:
    """Wait until an actor has written down these numbers."""

    async def written() -> bool:
        return [each.event.number async for each in runtime.events("log", key)] == list(numbers)

    await eventually(written)


async def test_a_failed_message_parks_its_key(runtime: Runtime, other: Runtime, world: World) -> None:
    """With "park" the key stops at the failure, others go on; resumed from anywhere it goes on in order."""
    world.bad_turns = {2}
    for number in (1, 2, 3):
        await runtime.tell("log", "a", Add(number))
    await runtime.tell("log", "b", Add(2))
    await runtime.tell("log", "c", Add(3))
    await journal(runtime, "c", 3)
    first, second = await parked(runtime, 2)
    assert (first.queue, first.key, first.attempts) == ("log", "a", 1)
    assert first.reason.startswith("Broken: turn 2")
    assert second.key == "b"
    assert await runtime.resume("log", "a") == 1
    await eventually(lambda: _attempts(runtime, "a", 2))
    world.bad_turns.clear()
    assert await other.resume("log", "a") == 1
    await journal(runtime, "a", 1, 2, 3)
    assert [each.key for each in await parked(runtime, 1)] == ["b"]
    assert await runtime.resume("log", "nobody") == 0
    assert await runtime.resume("log", "b") == 1
    await journal(runtime, "b", 2)


async def _attempts(runtime: Runtime, key: str, attempts: int) -> bool:
    return any(each.key == key and each.attempts == attempts for each in await runtime.parked())


async def test_a_broken_journal_stops_its_actor(runtime: Runtime, other: Runtime, world: World) -> None:
    """It is listed with the event that is to blame; after the repair it goes on where it stopped."""
    for number in (1, 99):
        await runtime.ask("log", "a", Add(number))
    world.bad_events = {1}
    for number in (3, 4):
        await runtime.tell("log", "a", Add(number))
    row = await broken(runtime)
    assert (row.state, row.attempts) == ("broken", 0)
    assert await runtime.parked() == []
    assert row.reason.startswith("BrokenStream: event 1 of log/a (log.added v1) cannot be replayed: Broken")
    with pytest.raises(ActorUnavailable, match="event 1 of log/a"):
        await runtime.ask("log", "a", Add(5))
    assert await runtime.ask("log", "b", Add(5)) == 1
    world.bad_events.clear()
    assert await other.resume("log", "a") == 1
    await journal(runtime, "a", 1, 99, 3, 4)
    assert await runtime.ask("log", "a", Add(6)) == 5
    assert await runtime.broken() == []


async def test_a_parked_actor_stays_parked_in_another_life(store: Store, world: World) -> None:
    """What is parked is stored with its message: the next process finds it so, and can resume it."""
    world.bad_turns = {1}
    for life in range(2):
        async with rb.open_runtime(world.app(), database=store, settings=SETTINGS) as runtime:
            if not life:
                await runtime.tell("log", "a", Add(1))
                await runtime.tell("log", "a", Add(2))
            (row,) = await parked(runtime)
            assert row.reason.startswith("Broken: turn 1")
    world.bad_turns.clear()
    async with rb.open_runtime(world.app(), database=store, settings=SETTINGS) as runtime:
        await runtime.resume("log", "a")
        await journal(runtime, "a", 1, 2)


async def test_an_ask_alone_finds_a_broken_actor(store: Store, world: World) -> None:
    """No message says that it is broken: this process lists it, and resuming it gives it another chance."""
    settings = evolve(SETTINGS, poll_interval=3600)
    async with rb.open_runtime(world.app(), database=store, settings=settings) as runtime:
        await runtime.ask("log", "a", Add(99))
        world.bad_events = {99}
        with pytest.raises(ActorUnavailable):
            await runtime.ask("log", "a", Add(2))

        async def given_another_chance() -> bool:
            return await runtime.broken() == []

        await eventually(given_another_chance)  # by the first look at what is stopped; the next is far away
        with pytest.raises(ActorUnavailable):
            await runtime.ask("log", "a", Add(2))
        assert [(each.queue, each.key) for each in await runtime.broken()] == [("log", "a")]
        world.bad_events.clear()
        with pytest.raises(ActorUnavailable):
            await runtime.ask("log", "a", Add(2))
        assert await runtime.resume("log", "a") == 0

        async def asked() -> bool:
            try:
                return await runtime.ask("log", "a", Add(2)) == 2
            except ActorUnavailable:
                return False

        await eventually(asked)
        assert await runtime.broken() == []


async def test_a_queue_parks_its_keys_too(runtime: Runtime, other: Runtime, world: World) -> None:
    """A key of a queue stops at its failure and goes on in order."""
    world.bad_turns = {1}
    for number in (1, 2):
        await runtime.enqueue("mail", Add(number), key="a")
    await runtime.enqueue("mail", Add(3), key="b")
    (row,) = await parked(runtime)
    assert (row.queue, row.key, row.attempts) == ("mail", "a", 1)
    await eventually(lambda: world.mailed == [3])
    world.bad_turns.clear()
    await other.resume("mail", "a")
    await eventually(lambda: world.mailed == [3, 1, 2])
    assert await runtime.parked() == []


async def test_a_lost_notification_delays_it_only(world: World, autojump_clock: MockClock) -> None:
    """With every notification lost a parked key goes on within `poll_interval` of being resumed."""
    store = MemoryStore(partitions=4)
    settings = rb.Settings(poll_interval=5.0)
    async with (
        rb.open_runtime(world.app(), database=store, settings=settings) as runtime,
        rb.open_runtime(rb.App("other", actors=[Account]), database=store, settings=settings) as other,
    ):
        await runtime.ask("log", "b", Add(99))
        world.bad_turns, world.bad_events = {1}, {99}
        await runtime.tell("log", "a", Add(1))
        await runtime.tell("log", "b", Add(2))
        await runtime.enqueue("mail", Add(1), key="a")
        await parked(runtime, 2)
        await broken(runtime)
        store.muted = True
        world.bad_turns, world.bad_events = set(), set()
        since = trio.current_time()
        for queue, key in (("log", "a"), ("log", "b"), ("mail", "a")):
            assert await other.resume(queue, key) == 1
        await journal(runtime, "a", 1)
        await journal(runtime, "b", 99, 2)
        await eventually(lambda: world.mailed == [1])
        assert trio.current_time() - since < 2 * 5.0 + 1


async def test_deposits_are_not_touched(store: Store) -> None:
    """Resuming what is not parked does nothing."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=store, settings=SETTINGS) as runtime:
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
        assert await runtime.resume(Account, "a") == 0
        assert await runtime.ask(Account, "a", Deposit(1)) == 2
        assert await runtime.parked() == []
