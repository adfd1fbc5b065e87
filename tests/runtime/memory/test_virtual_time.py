"""The runtime on the in-memory store: hours take no time, and how long something took is exact."""

from datetime import UTC, datetime, timedelta

import pytest
import trio
from trio.testing import MockClock

import rolebook as rb
from rolebook.actors import RolebookError
from rolebook.runtime import MemoryStore, Settings
from tests.runtime.apps import QUICK, SLOW, Account, Deposit, Note, Transfer, diary

DAY = 86_400.0

PATIENT = Settings(poll_interval=DAY, health_interval=DAY)
"""Virtual time passes quickly if nobody looks every five seconds whether something has come."""


async def numbers(runtime: rb.Runtime, key: str = "a") -> list[int]:
    """What a diary was told, in order."""
    return [each.event.number async for each in runtime.events("diary", key)]


async def test_the_whole_path(autojump_clock: MockClock) -> None:
    """Tell, ask, effects to others, read: as with a database, and nothing is left behind."""
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database="memory:") as runtime:
        assert await runtime.ask(Account, "alice", Deposit(10)) == 10
        await runtime.tell(Account, "alice", Transfer("bob", 4))
        await runtime.wait_idle()
        assert await runtime.read(Account, "alice") == Account(6)
        assert await runtime.read(Account, "bob") == Account(4)
        with pytest.raises(rb.Rejected, match="not enough"):
            await runtime.ask(Account, "bob", Transfer("alice", 5))


async def test_two_memories_are_apart(autojump_clock: MockClock) -> None:
    """Each runtime on "memory:" has a store of its own, which ends with it."""
    app = rb.App("bank", actors=[Account])
    for _ in range(2):
        async with rb.open_runtime(app, database="memory:") as runtime:
            assert await runtime.ask(Account, "alice", Deposit(10)) == 10


async def test_a_store_outlives_its_runtimes(autojump_clock: MockClock) -> None:
    """A runtime that is opened on a store that another has used goes on where that one was."""
    app, store = rb.App("bank", actors=[Account]), MemoryStore()
    for balance in (10, 20):
        async with rb.open_runtime(app, database=store) as runtime:
            assert await runtime.ask(Account, "alice", Deposit(10)) == balance


async def test_a_delay_takes_no_time(autojump_clock: MockClock) -> None:
    """A message for tomorrow is handled exactly then, and a second of the test's time is not spent."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database="memory:", settings=PATIENT) as runtime:
        began = trio.current_time()
        await runtime.tell("diary", "a", Note(1), delay=DAY)
        await trio.sleep(DAY - 0.001)
        await runtime.wait_idle()
        assert await numbers(runtime) == []
        await trio.sleep(0.002)
        await runtime.wait_idle()
        assert await numbers(runtime) == [1]
        assert trio.current_time() - began < DAY + 0.01


async def test_the_stores_clock_can_be_set(autojump_clock: MockClock) -> None:
    """A store that starts at a given moment counts from there, and `at=` is relative to it."""
    start = datetime(2001, 2, 3, tzinfo=UTC)
    app, store = rb.App("app", actors=[diary()]), MemoryStore(start=start)
    async with rb.open_runtime(app, database=store, settings=PATIENT) as runtime:
        await runtime.tell("diary", "a", Note(1), at=start + timedelta(days=30))
        await trio.sleep(30 * DAY + 1)
        await runtime.wait_idle()
        (recorded,) = [each async for each in runtime.events("diary", "a")]
        late = recorded.recorded_at - (start + timedelta(days=30))
        assert timedelta(0) <= late < timedelta(seconds=1)


async def test_retries_wait_their_time(autojump_clock: MockClock) -> None:
    """Two failures with ten minutes after each: the third attempt comes after twenty."""
    app = rb.App("app", actors=[diary(retry=SLOW)])
    async with rb.open_runtime(app, database="memory:") as runtime:
        await runtime.tell("diary", "a", Note(1, failures=2))
        await runtime.tell("diary", "a", Note(2))
        await trio.sleep(1190)
        assert await numbers(runtime) == []
        await trio.sleep(20)
        await runtime.wait_idle()
        assert await numbers(runtime) == [1, 2]


async def test_dead_letters_can_be_driven_again(autojump_clock: MockClock) -> None:
    """A message that failed too often is kept, and works when the cause has gone."""
    app = rb.App("app", actors=[diary(retry=QUICK)])
    async with rb.open_runtime(app, database="memory:") as runtime:
        await runtime.tell("diary", "a", Note(1, failures=3))
        await trio.sleep(10)
        (letter,) = await runtime.dead_letters()
        assert letter.attempts == 3
        assert await runtime.redrive([letter.id]) == 1
        await trio.sleep(10)
        assert [each.attempts for each in await runtime.dead_letters()] == [3]


async def test_two_processes_meet_in_one_store(autojump_clock: MockClock) -> None:
    """What one process does not own, the other handles; the reply comes back."""
    app, store = rb.App("bank", actors=[Account]), MemoryStore()
    async with rb.open_runtime(app, database=store) as owner, rb.open_runtime(app, database=store) as other:
        assert await owner.ask(Account, "alice", Deposit(1)) == 1
        assert await other.ask(Account, "alice", Deposit(1)) == 2
        await other.tell(Account, "alice", Deposit(1))
        await other.wait_idle()
        assert await other.read(Account, "alice") == Account(3)


async def test_without_notifications_everything_works_within_the_poll_interval(
    autojump_clock: MockClock,
) -> None:
    """Every hint is lost: a message to the other process, and its reply, take a poll each."""
    app, store = rb.App("bank", actors=[Account]), MemoryStore()
    store.muted = True
    settings = Settings(poll_interval=5.0)
    async with (
        rb.open_runtime(app, database=store, settings=settings) as owner,
        rb.open_runtime(app, database=store, settings=settings) as other,
    ):
        await owner.ask(Account, "alice", Deposit(1))
        began = trio.current_time()
        assert await other.ask(Account, "alice", Deposit(1)) == 2
        assert 0 < trio.current_time() - began <= 10


async def test_a_frozen_process_is_replaced(autojump_clock: MockClock) -> None:
    """When the server ends a process's session another takes over; nothing is lost and nothing done twice."""
    app, store = rb.App("app", actors=[diary()]), MemoryStore()
    settings = Settings(take_interval=1.0)
    async with (
        rb.open_runtime(app, database=store, settings=settings, process="one") as one,
        rb.open_runtime(app, database=store, settings=settings, process="two") as two,
    ):
        for number in range(60):
            await two.tell("diary", f"k{number % 7}", Note(number))
            if number % 20 == 10:
                store.end_session("one" if number % 40 == 10 else "two")
        with trio.fail_after(60):
            await one.wait_idle()
        told = [await numbers(one, f"k{key}") for key in range(7)]
        assert told == [[number for number in range(60) if number % 7 == key] for key in range(7)]


async def test_a_tell_in_a_transaction(autojump_clock: MockClock) -> None:
    """It is sent with the transaction's commit, and never if that is rolled back."""
    app, store = rb.App("bank", actors=[Account]), MemoryStore()
    async with rb.open_runtime(app, database=store) as runtime:
        async with store.transaction() as transaction:
            await runtime.tell(Account, "alice", Deposit(1), connection=transaction)
            await trio.sleep(60)
            assert await runtime.read(Account, "alice") == Account(0)

        async def fail() -> None:
            async with store.transaction() as transaction:
                await runtime.tell(Account, "alice", Deposit(100), connection=transaction)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        await runtime.wait_idle()
        assert await runtime.read(Account, "alice") == Account(1)


async def test_a_foreign_connection_is_refused(autojump_clock: MockClock) -> None:
    """The store's transactions are its own: any other `connection=` is an error."""
    app, store = rb.App("bank", actors=[Account]), MemoryStore()
    async with rb.open_runtime(app, database=store) as runtime:
        with pytest.raises(TypeError, match=r"store\.transaction"):
            await runtime.tell(Account, "alice", Deposit(1), connection=object())
        with pytest.raises(RolebookError, match="no SQL"):
            store.connection()


async def test_a_transaction_that_has_ended_takes_nothing(autojump_clock: MockClock) -> None:
    """Sending in it afterwards would be lost, so it is an error."""
    app, store = rb.App("bank", actors=[Account]), MemoryStore()
    async with rb.open_runtime(app, database=store) as runtime:
        async with store.transaction() as transaction:
            pass
        with pytest.raises(RolebookError, match="has ended"):
            await runtime.tell(Account, "alice", Deposit(1), connection=transaction)
