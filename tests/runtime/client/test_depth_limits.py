"""The bound of a queue's depth, and the store's clock."""

# pyright: reportPrivateUsage=false

from datetime import UTC, datetime, timedelta, tzinfo

import pytest
import trio
from attrs import define, frozen
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import MemoryStore, QueueFull
from rolebook.runtime.contract import Store
from rolebook.runtime.system import _clock
from tests.runtime.apps import Account, Deposit, Note

SETTINGS = rb.Settings(partitions=4, poll_interval=0.2, pool_size=2)


async def test_a_full_queue_refuses(store: Store) -> None:
    """A sender beyond the limit is told the queue, its depth and the limit, and nothing of it is sent."""
    app = rb.App("app", actors=[Account], limits=rb.Limits(depth=5))
    async with rb.open_runtime(app, database=store, settings=SETTINGS) as runtime:
        await runtime.send(*(rb.Enqueue("nobody", Note(number)) for number in range(4)))
        with pytest.raises(QueueFull, match=r"queue 'nobody' holds 4 messages, and its limit is 5"):
            await runtime.send(*(rb.Enqueue("nobody", Note(number)) for number in range(2)))
        await runtime.enqueue("nobody", Note(5))
        with pytest.raises(QueueFull) as caught:
            await runtime.enqueue("nobody", Note(6))
        assert (caught.value.queue, caught.value.depth, caught.value.limit) == ("nobody", 5, 5)
        await runtime.enqueue("nobody", Note(7), delay=1000)
        await runtime.tell(Account, "a", Deposit(1))
        assert await runtime.ask(Account, "a", Deposit(1)) == 2
        assert await store.depth("nobody", 100) == 5
        assert await store.depth("nobody", 3) == 3


async def test_a_queue_that_is_worked_off_takes_more(store: Store) -> None:
    """Nobody is refused for what was handled long ago: a full estimate is counted anew."""
    app = rb.App("app", actors=[Account], limits=rb.Limits(depth=3))
    async with rb.open_runtime(app, database=store, settings=SETTINGS) as runtime:
        for _ in range(20):
            with trio.fail_after(10):
                while True:
                    try:
                        await runtime.tell(Account, "a", Deposit(1))
                        break
                    except QueueFull:
                        await runtime.wait_idle()
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 20


@rb.command("watch.look")
@frozen
class Look(rb.Command[datetime]):
    pass


@rb.actor("watch")
@define
class Watch:
    last: int = 0

    @rb.decide
    def look(self, command: Look, turn: rb.DecideTurn) -> datetime:
        return turn.now


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_machine_whose_clock_is_wrong_goes_by_the_stores(
    store: Store, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """An hour ahead or behind, `turn.now` and what is due are as they are for the others."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=hours)

    monkeypatch.setattr(_clock, "datetime", Wrong)
    app = rb.App("app", actors=[Watch, Account])
    async with rb.open_runtime(app, database=store, settings=SETTINGS) as runtime:
        right = await runtime.ask(Watch, "a", Look())
        assert abs(right - datetime.now(UTC)) < timedelta(minutes=1)
        await runtime.tell(Account, "a", Deposit(1), at=right)
        await runtime.tell(Account, "a", Deposit(10), at=right + timedelta(minutes=30))
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 1


async def test_turns_go_by_the_stores_clock(autojump_clock: MockClock) -> None:
    """`turn.now` is the store's time from the first turn on, in virtual time too."""
    start = datetime(2031, 5, 1, tzinfo=UTC)
    app = rb.App("app", actors=[Watch])
    async with rb.open_runtime(app, database=MemoryStore(start=start)) as runtime:
        assert abs(await runtime.ask(Watch, "a", Look()) - start) < timedelta(seconds=1)
        await trio.sleep(3600)
        assert abs(await runtime.ask(Watch, "a", Look()) - start - timedelta(hours=1)) < timedelta(seconds=1)
