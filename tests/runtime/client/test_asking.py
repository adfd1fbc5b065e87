"""Asks: typed replies, in order, from here and from other processes, and what a cancelled one leaves."""

import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import Runtime, UnknownQueue
from rolebook.runtime.contract import Store
from rolebook.runtime.system import LocalAsk, SendCount
from tests.runtime.apps import QUICK, SLOW, Account, Deposit, Note, Transfer, diary
from tests.runtime.looking import Looking
from tests.waiting import eventually

QUICK_SESSION = rb.Settings(
    backoff=rb.Backoff(first=0.01, cap=0.05), take_interval=0.05, poll_interval=0.2, health_interval=1
)


async def test_an_ask_leaves_no_message(database_url: str, looking: Looking) -> None:
    """An ask to an actor of this process is answered after its commit, without a row in the mailbox."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        assert await runtime.ask(Account, "a", Deposit(10)) == 10
        ids = await looking.value("select last_value from rolebook.message_ids")
        assert await runtime.ask(Account, "a", Deposit(5)) == 15
        assert await looking.value("select count(*) from rolebook.events") == 2
        assert await looking.value("select last_value from rolebook.message_ids") == ids
        with pytest.raises(rb.Rejected, match="must be positive"):
            await runtime.ask(Account, "a", Deposit(-1))


async def test_an_ask_comes_after_what_was_told_before_it(database_url: str, looking: Looking) -> None:
    """An ask sees what its runtime told the actor before, however it was told and whatever the backlog."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        for number in range(1, 30):
            await runtime.tell(Account, "a", Deposit(1))
            assert await runtime.ask(Account, "a", Deposit(1)) == 2 * number
        await runtime.send(*(rb.Tell(Account, "b", Deposit(1)) for _ in range(3000)))
        assert await runtime.ask(Account, "b", Deposit(1)) == 3001


async def test_an_ask_comes_after_what_was_committed_before_it(database_url: str) -> None:
    """What was told in a transaction of the caller's goes before an ask that follows the commit."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        for number in range(1, 30):
            async with runtime.connection() as connection, connection.transaction():
                await runtime.tell(Account, "a", Deposit(1), connection=connection)
            assert await runtime.ask(Account, "a", Deposit(1)) == 2 * number


class Anything:
    """Stands for a connection."""


def test_asks_go_straight_again_once_a_callers_transaction_has_ended() -> None:
    """While it is open, and once after it, an ask waits for a look; the connection may be gone by then."""
    count, ended = SendCount(), set[object]()
    one, other = Anything(), Anything()
    count.sent_elsewhere(["a"], one)
    assert not count.take_stock("b", ended.__contains__)
    assert [True, True] == [count.take_stock("a", ended.__contains__) for _ in range(2)]
    ended.add(one)
    count.sent_elsewhere(["a"], other)
    assert count.take_stock("a", ended.__contains__)
    del other
    gc.collect()
    assert [True, False] == [count.take_stock("a", ended.__contains__) for _ in range(2)]
    assert {"a": 4} == count.by_queue


async def test_many_ask_at_once(database_url: str) -> None:
    """Concurrent asks to one actor are handled one at a time, and each gets its own reply."""
    replies: list[int] = []
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:

        async def ask() -> None:
            replies.append(await runtime.ask(Account, "a", Deposit(1)))

        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(ask)
    assert sorted(replies) == list(range(1, 201))


async def test_an_ask_that_is_cancelled_before_its_turn_never_happens(
    database_url: str, looking: Looking
) -> None:
    """A cancelled ask whose turn has not begun never begins."""
    app = rb.App("app", actors=[diary(retry=SLOW)])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell("diary", "a", Note(1, failures=1))  # what comes now waits for ten minutes
        await looking.until("select attempts = 1 from rolebook.messages")
        with trio.move_on_after(0.1) as scope:
            await runtime.ask("diary", "a", Note(2))
        assert scope.cancelled_caught
    await looking.do("update rolebook.messages set not_before = null")
    async with rb.open_runtime(rb.App("app", actors=[diary()]), database=database_url) as runtime:
        await runtime.wait_idle()
    assert await looking.journal("diary", "a") == [1]


async def test_an_ask_that_is_cancelled_at_any_time_is_whole(database_url: str) -> None:
    """However long after its start an ask is cancelled, it has happened whole or not at all."""
    app = rb.App("app", actors=[Account])
    heard = 0
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.ask(Account, "a", Deposit(1))
        for step in range(60):
            with trio.move_on_after(step * 0.0001):
                await runtime.ask(Account, "a", Deposit(1))
                heard += 1
        last = await runtime.ask(Account, "a", Deposit(1))
        recorded = [each async for each in runtime.events(Account, "a")]
    assert heard + 2 <= last <= 62
    assert [each.seq for each in recorded] == list(range(1, last + 1))


async def test_an_ask_to_an_actor_of_another_process(database_url: str, looking: Looking) -> None:
    """The reply, the refusal and the failure of an actor that runs elsewhere come back to who asked."""
    app = rb.App("app", actors=[Account, diary()])
    async with (
        rb.open_runtime(app, database=database_url, settings=QUICK_SESSION) as owner,
        _second(app, database_url, looking, queues=2) as other,
    ):
        assert await other.ask(Account, "a", Deposit(10)) == 10
        assert await owner.ask(Account, "a", Deposit(5)) == 15
        with pytest.raises(rb.Rejected, match="must be positive"):
            await other.ask(Account, "a", Deposit(-1))
        with pytest.raises(rb.RolebookError, match="Broken: note 3, attempt 1"):
            await other.ask("diary", "a", Note(3, failures=9))
        assert await other.ask("diary", "a", Note(4)) == 1
        assert await owner.dead_letters() == []


async def test_a_remote_reply_does_not_wait_for_a_poll(database_url: str, looking: Looking) -> None:
    """Both ways of a remote ask are announced: it takes far less than a poll interval."""
    app = rb.App("app", actors=[Account])
    settings = rb.Settings(poll_interval=20)
    async with (
        rb.open_runtime(app, database=database_url, settings=settings),
        _second(app, database_url, looking, settings=settings) as other,
    ):
        with trio.fail_after(10):
            assert [await other.ask(Account, "a", Deposit(10)) for _ in range(5)] == [10, 20, 30, 40, 50]


@asynccontextmanager
async def _second(
    app: rb.App, url: str, looking: Looking, *, queues: int = 1, settings: rb.Settings = QUICK_SESSION
) -> AsyncGenerator[Runtime]:
    """A runtime that owns nothing, because the first one has taken all."""
    await looking.owned(queues)
    async with rb.open_runtime(app, database=url, settings=settings) as runtime:
        yield runtime


async def test_a_cancelled_remote_ask_is_whole(database_url: str, looking: Looking) -> None:
    """A remote ask that was cancelled after it was sent is handled once, with nobody listening."""
    app = rb.App("app", actors=[Account])
    async with (
        rb.open_runtime(app, database=database_url, settings=QUICK_SESSION) as owner,
        _second(app, database_url, looking) as other,
    ):
        heard = 0
        for step in range(10):
            with trio.move_on_after(step * 0.002):
                await other.ask(Account, "a", Deposit(1))
                heard += 1
        await owner.wait_idle()
        last = await other.ask(Account, "a", Deposit(1))
        recorded = [each async for each in owner.events(Account, "a")]
    assert heard + 1 <= last <= 11
    assert [each.seq for each in recorded] == list(range(1, last + 1))


@pytest.mark.parametrize("role", ["listener", "fetcher"])
async def test_asks_while_the_session_is_being_reopened(
    database_url: str, looking: Looking, role: str
) -> None:
    """Asks made while the session falls and comes back are all answered, each after exactly one turn."""
    app = rb.App("app", actors=[Account])
    replies: list[int] = []
    with trio.fail_after(30):
        async with rb.open_runtime(app, database=database_url, settings=QUICK_SESSION) as runtime:
            await runtime.tell(Account, "a", Deposit(1))

            async def ask_some() -> None:
                for _ in range(30):
                    reply = await runtime.ask(Account, "a", Deposit(1))
                    replies.append(reply)

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(ask_some)
                fallen = 0
                for _ in range(3):
                    before = len(replies)
                    fallen += await looking.terminate(role)
                    await eventually(_more_than(replies, before + 5))
    assert fallen
    assert sorted(replies) == list(range(2, 152))


def _more_than(replies: list[int], count: int) -> Callable[[], bool]:
    return lambda: len(replies) > min(count, 149)


async def test_an_ask_after_the_session_was_reopened(database_url: str, looking: Looking) -> None:
    """What was sent before the session fell does not hold up an ask for ever."""
    app = rb.App("app", actors=[Account])
    with trio.fail_after(20):
        async with rb.open_runtime(app, database=database_url, settings=QUICK_SESSION) as runtime:
            await runtime.tell(Account, "a", Deposit(1))
            await runtime.wait_idle()
            await reopen(runtime, looking)
            for balance in range(2, 10):  # the first may go by the mailbox
                assert await runtime.ask(Account, "a", Deposit(1)) == balance


async def reopen(runtime: Runtime, looking: Looking) -> None:
    """End the fetcher's session, and wait until there is a new one."""
    (old,) = await looking.sessions("fetcher")
    await looking.terminate("fetcher")

    async def renewed() -> bool:
        now = await looking.sessions("fetcher")
        return bool(now) and old not in now

    await eventually(renewed)


async def test_an_ask_of_a_handler_that_stops(database_url: str) -> None:
    """Asks in flight when the runtime ends are answered, or end with an error; none hangs."""
    app = rb.App("app", actors=[Account])
    outcomes: list[str] = []

    async def ask(runtime: Runtime) -> None:
        try:
            await runtime.ask(Account, "a", Deposit(1))
            outcomes.append("answered")
        except rb.RolebookError as error:
            outcomes.append(type(error).__name__)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, rb.open_runtime(app, database=database_url) as runtime:
            for _ in range(50):
                nursery.start_soon(ask, runtime)
            await runtime.ask(Account, "b", Deposit(1))
            for _ in range(50):
                nursery.start_soon(ask, runtime)
            await trio.lowlevel.checkpoint()
    assert len(outcomes) == 100
    assert outcomes.count("answered") >= 50


async def test_a_tell_while_the_runtime_ends_is_answered(database_url: str, looking: Looking) -> None:
    """A tell in flight when the runtime ends is sent, or ends with an error; none hangs."""
    app = rb.App("app", actors=[Account])
    outcomes: list[str] = []

    async def tell_on(runtime: Runtime) -> None:
        try:
            while True:
                await runtime.tell(Account, "a", Deposit(1))
                outcomes.append("sent")
        except rb.RolebookError as error:
            outcomes.append(type(error).__name__)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, rb.open_runtime(app, database=database_url) as runtime:
            for _ in range(10):
                nursery.start_soon(tell_on, runtime)
            await eventually(lambda: len(outcomes) > 50)
        async with rb.open_runtime(app, database=database_url) as runtime:
            await runtime.wait_idle()
            balance = (await runtime.read(Account, "a")).balance
    assert outcomes.count("sent") == len(outcomes) - 10
    # Whether those that ended with OutcomeUnknown were sent is just what is unknown.
    assert 0 <= balance - outcomes.count("sent") <= outcomes.count("OutcomeUnknown")


async def test_a_handler_can_ask(database_url: str) -> None:
    """A queue's handler may ask an actor, like anybody else who has the runtime."""
    app = rb.App("app", actors=[Account])
    runtimes: list[Runtime] = []
    seen: list[int] = []

    @app.handler("mail", retry=QUICK)
    async def mail(command: Note) -> None:
        seen.append(await runtimes[0].ask(Account, "a", Deposit(command.number)))

    async with rb.open_runtime(app, database=database_url) as runtime:
        runtimes.append(runtime)
        await runtime.enqueue("mail", Note(5))
        await runtime.wait_idle()
    assert seen == [5]


async def test_what_is_asked_is_held_to_its_class_wherever_the_actor_is(database_url: str) -> None:
    """A command that could not be stored, or is too large, is refused though an ask here stores none."""
    app = rb.App("app", actors=[Account], limits=rb.Limits(payload=1000))
    wrong: Any = "10"
    async with rb.open_runtime(app, database=database_url) as runtime:
        with pytest.raises(rb.Unencodable, match="expected int, got str"):
            await runtime.ask(Account, "a", Deposit(wrong))
        with pytest.raises(rb.PayloadTooLarge):
            await runtime.ask(Account, "a", Transfer("b" * 1000, 1))
        with pytest.raises(rb.EffectError, match="headers are text to text"):
            await runtime.ask(Account, "a", Deposit(1), headers={"number": wrong and 1})  # type: ignore[dict-item]


async def test_to_ask_a_queue_is_an_error(database_url: str) -> None:
    """A queue gives no replies: who asks one would wait for ever."""
    app = rb.App("app", actors=[Account])

    @app.handler("mail")
    async def mail(command: Deposit) -> None:  # pyright: ignore[reportUnusedFunction] - registered
        raise AssertionError

    async with rb.open_runtime(app, database=database_url) as runtime:
        with pytest.raises(UnknownQueue, match="actor 'mail'; this app has: account"):
            await runtime.ask("mail", "a", Deposit(1))


async def test_to_ask_whom_nobody_runs_is_an_error(database_url: str) -> None:
    """An ask to a name that no process has ever run is refused, with the names there are."""
    async with rb.open_runtime(rb.App("app", actors=[Account]), database=database_url) as runtime:
        with pytest.raises(UnknownQueue, match=r"actor 'acount'; this app has: account"):
            await runtime.ask("acount", "a", Deposit(1))


async def test_asks_of_a_process_that_came_back_are_others(store: Store) -> None:
    """A process may have the same name in its next life; the ids of its asks are new."""
    names: list[str] = []
    for _ in range(2):
        async with rb.open_runtime(rb.App("app", actors=[Account]), database=store, process="one") as runtime:
            for _ in range(2):
                await runtime.ask(Account, "a", Deposit(1))
            names = [each.metadata["message"] async for each in runtime.events(Account, "a")]
    assert len(set(names)) == 4


async def test_asks_that_were_given_up_leave_nothing_at_a_blocked_actor(autojump_clock: MockClock) -> None:
    """Somebody may ask a blocked actor every second, with a deadline: memory holds none of that."""
    app = rb.App("app", actors=[diary(on_failure="park")])
    async with rb.open_runtime(app, database="memory:") as runtime:
        await runtime.tell("diary", "a", Note(1, failures=1))
        for _ in range(300):
            with trio.move_on_after(1):
                await runtime.ask("diary", "a", Note(2))
        gc.collect()
        assert sum(isinstance(each, LocalAsk) for each in gc.get_objects()) < 100
        await runtime.resume("diary", "a")
        await runtime.wait_idle()
        assert [each.event.number async for each in runtime.events("diary", "a")] == [1]
