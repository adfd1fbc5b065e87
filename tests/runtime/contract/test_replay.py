"""Recovery in bounded steps: however many actors are cold, and however long their journals are."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest
import trio
from attrs import define, field, frozen
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import MemoryStore
from rolebook.runtime.contract import Replay, Replayed, Store, Stream
from tests.runtime.apps import Account, Deposit


@define(eq=False)
class Watched:
    """A store that counts the events of each load, which takes some seconds."""

    real: Store
    takes: float = 0.0
    loads: list[int] = field(factory=list[int])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def load(
        self,
        actor: str,
        state_version: int,
        after: Mapping[str, int | None],
        most: int,
        most_bytes: int,
        *,
        nonce: int | None,
    ) -> Mapping[str, Stream]:
        """Load, and note how much it was."""
        await trio.sleep(self.takes)
        streams = await self.real.load(actor, state_version, after, most, most_bytes, nonce=nonce)
        self.loads.append(sum(len(stream.events) for stream in streams.values()))
        return streams


async def test_one_load_is_bounded_whatever_is_cold() -> None:
    """A hundred long journals are read in pages that together have a bound, and every state is right."""
    store: Any = Watched(MemoryStore())
    keys = [f"k{number}" for number in range(100)]
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=store) as runtime:
        sends: Sequence[rb.Tell] = [rb.Tell(Account, key, Deposit(1)) for key in keys for _ in range(250)]
        await runtime.send(*sends)
        await runtime.wait_idle()
        store.loads.clear()
        states = await runtime.read_many(Account, keys)
    assert [250] * 100 == [states[key].balance for key in keys]
    assert sum(store.loads) == 25_000
    assert max(store.loads) <= 10_000


async def test_a_long_journal_keeps_no_other_actor_waiting(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """It is read page by page; what comes for others meanwhile is handled between two pages."""
    monkeypatch.setattr("rolebook.runtime.contract._replay.EVENTS", 10)
    real = MemoryStore()
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=real) as runtime:
        await runtime.send(*[rb.Tell(Account, "long", Deposit(1)) for _ in range(1000)])
        await runtime.wait_idle()

    times: dict[str, float] = {}

    async def ask(key: str) -> None:
        assert await runtime.ask(Account, key, Deposit(1)) == (1001 if key == "long" else 1)
        times[key] = trio.current_time() - start

    store: Any = Watched(real, takes=1)
    async with rb.open_runtime(app, database=store) as runtime, trio.open_nursery() as nursery:
        start = trio.current_time()
        for key in ("long", "short", "also short"):
            nursery.start_soon(ask, key)
            await trio.sleep(5.5)
    assert times["long"] >= 100
    assert max(times["short"], times["also short"] - 5.5) <= 12


CLOCK = list[MockClock]()
APPLIED = [0]


@rb.event("slow.happened")
@frozen
class Happened:
    pass


@rb.command("slow.let")
@frozen
class Let(rb.Command[int]):
    times: int


@rb.actor("slow")
@define
class Slow:
    """Whose events take ten virtual milliseconds to apply, once the clock is there."""

    count: int = 0

    @rb.decide
    def let(self, command: Let) -> rb.Effects[int]:
        for _ in range(command.times):
            yield Happened()
        return self.count

    @rb.apply
    def happened(self, event: Happened) -> None:
        self.count += 1
        APPLIED[0] += 1
        for clock in CLOCK:
            clock.jump(0.01)


@pytest.fixture
async def slow_store() -> AsyncGenerator[Store]:
    """A store with an actor of a thousand events that take ten seconds."""
    CLOCK.clear()
    store = MemoryStore()
    async with rb.open_runtime(rb.App("app", actors=[Slow]), database=store) as runtime:
        await runtime.ask(Slow, "long", Let(1000))
    APPLIED[0] = 0
    yield store
    CLOCK.clear()


async def test_other_tasks_have_their_turn_while_events_are_applied(
    slow_store: Store, mock_clock: MockClock
) -> None:
    """However long an applier takes: in the end after each, where each takes longer than a slice."""
    CLOCK.append(mock_clock)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.lowlevel.checkpoint()
            ticks += 1

    app = rb.App("app", actors=[Slow])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        replayed = await Replay(app.actors["slow"], app.codec, slow_store).replay(["long"])
        nursery.cancel_scope.cancel()
    assert replayed["long"].state.count == 1000
    assert ticks >= 900


async def test_what_was_applied_is_kept_when_a_replay_is_cancelled(
    slow_store: Store, mock_clock: MockClock
) -> None:
    """It is cancelled each second, as by a session that falls, and is done after about as many applies."""
    CLOCK.append(mock_clock)
    app = rb.App("app", actors=[Slow])
    replay, lives, found = Replay(app.actors["slow"], app.codec, slow_store), 0, dict[str, Replayed]()
    while not found:
        lives += 1
        replay.begin_life()
        with trio.move_on_after(1):
            found = await replay.replay(["long"])
    assert lives > 5
    assert found["long"].state.count == found["long"].seq == 1000
    assert APPLIED == [1000]


async def test_events_of_another_process_are_not_missed(slow_store: Store, mock_clock: MockClock) -> None:
    """What was stored between two lives is read by the second, though the first had begun."""
    app = rb.App("app", actors=[Slow])
    replay = Replay(app.actors["slow"], app.codec, slow_store)
    CLOCK.append(mock_clock)
    assert {} == await replay.go_on(["long"])
    CLOCK.clear()
    async with rb.open_runtime(app, database=slow_store) as runtime:
        assert await runtime.ask(Slow, "long", Let(5)) == 1005
    replay.begin_life()
    assert (await replay.replay(["long"]))["long"].seq == 1005


async def test_the_log_says_which_actor_takes_long(
    slow_store: Store, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After a second, and then after twice as long each time; how far it is, and of how much."""
    CLOCK.append(mock_clock)
    app = rb.App("app", actors=[Slow])
    with caplog.at_level("INFO", "rolebook.recovery"):
        await Replay(app.actors["slow"], app.codec, slow_store).replay(["long"])
    assert 3 <= len(caplog.messages) <= 4
    assert re.fullmatch(r"replaying slow/long: \d+ of 1000 events in 1\.\d s", caplog.messages[0])


async def test_a_process_keeps_its_session_while_it_replays(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """A journal whose events take longer than `idle_session_timeout` loads, and costs no session."""

    @rb.actor("slow")
    @define
    class Busy:
        count: int = 0

        @rb.decide
        def let(self, command: Let) -> rb.Effects[int]:
            for _ in range(command.times):
                yield Happened()
            return self.count

        @rb.apply
        def happened(self, event: Happened) -> None:
            self.count += 1
            if command_is_over:
                busy_until = time.perf_counter() + 0.001
                while time.perf_counter() < busy_until:
                    pass

    monkeypatch.setattr("rolebook.runtime.contract._replay.EVENTS", 1500)
    command_is_over = False
    settings = rb.Settings(idle_session_timeout=1, poll_interval=0.1)
    app = rb.App("app", actors=[Busy])
    async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
        await runtime.ask("slow", "long", Let(4000))
    command_is_over = True
    async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
        assert await runtime.ask("slow", "long", Let(0)) == 4000
        assert runtime.tree.snapshot()["session/fetcher"].incarnation == 1
