"""Backlogs larger than memory is given to them, and keys that block with many messages behind them."""

import pytest

import rolebook as rb
from rolebook.runtime import Runtime
from tests.runtime.apps import QUICK, SLOW, Broken, Note, diary
from tests.runtime.looking import Looking
from tests.waiting import eventually

SMALL = rb.Settings(mailbox_capacity=20, blocked_capacity=4, batch=10)


async def tell_many(runtime: Runtime, count: int, keys: int, failing: frozenset[int] = frozenset()) -> None:
    """Send notes 0, 1, 2… round-robin to some keys, in one transaction."""
    await runtime.send(
        *(rb.Tell("diary", f"k{n % keys}", Note(n, failures=int(n in failing))) for n in range(count))
    )


@pytest.mark.parametrize("keys", [1, 7, 500])
async def test_a_backlog_far_larger_than_the_mailbox(database_url: str, looking: Looking, keys: int) -> None:
    """A backlog is worked off in order per key, with no more in memory than the settings say."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url, settings=SMALL) as runtime:
        await tell_many(runtime, 1000, keys)
        await runtime.wait_idle()
        for key in range(keys):
            assert list(range(key, 1000, keys)) == await looking.journal("diary", f"k{key}")


async def test_a_backlog_that_was_there_before(database_url: str, looking: Looking) -> None:
    """What was sent while nobody ran is read in windows and pages, while more is being sent."""
    async with rb.open_runtime(rb.App("app", actors=[diary("other")]), database=database_url) as runtime:
        await tell_many(runtime, 500, 5)
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url, settings=SMALL) as runtime:
        for number in range(500, 520):
            await runtime.tell("diary", f"k{number % 5}", Note(number))
        await runtime.wait_idle()
    for key in range(5):
        assert list(range(key, 520, 5)) == await looking.journal("diary", f"k{key}")


async def test_a_blocked_key_with_thousands_behind_it(database_url: str, looking: Looking) -> None:
    """Messages behind a blocked key are set aside and read again: in order, none lost, none twice."""
    settings = rb.Settings(mailbox_capacity=200, blocked_capacity=10)
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
        await tell_many(runtime, 2000, 1, failing=frozenset({0}))
        await runtime.wait_idle()
        assert await runtime.dead_letters() == []
    assert list(range(2000)) == await looking.journal("diary", "k0")


async def test_a_key_that_blocks_again_and_again(database_url: str, looking: Looking) -> None:
    """A key that blocks anew while its messages are being read again keeps their order, and loses none."""
    failing = frozenset({0, 3, 11, 12, 60, 61, 90, 155, 299, 300})
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url, settings=SMALL) as runtime:
        await tell_many(runtime, 400, 1, failing=failing)
        await runtime.wait_idle()
        assert await runtime.dead_letters() == []
    assert list(range(400)) == await looking.journal("diary", "k0")


async def test_more_arrives_while_a_key_is_read_again(database_url: str, looking: Looking) -> None:
    """What is sent to a key while its messages are set aside and read again takes its place behind them."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url, settings=SMALL) as runtime:
        await tell_many(runtime, 100, 1, failing=frozenset({0, 20, 50}))
        for number in range(100, 200):
            await runtime.tell("diary", "k0", Note(number, failures=int(number in (120, 150))))
        await runtime.wait_idle()
    assert list(range(200)) == await looking.journal("diary", "k0")


async def test_a_blocked_key_does_not_stall_others(database_url: str, looking: Looking) -> None:
    """However much waits behind one blocked key, another key's message is handled."""
    app = rb.App("app", actors=[diary(retry=SLOW)])
    async with rb.open_runtime(app, database=database_url, settings=SMALL) as runtime:
        await tell_many(runtime, 300, 1, failing=frozenset({0}))
        await runtime.tell("diary", "free", Note(1))
        await looking.until("select count(*) = 1 from rolebook.events where key = 'free'")
        assert await looking.mailbox("diary") == 300


async def test_many_blocked_keys_do_not_stall_others(database_url: str, looking: Looking) -> None:
    """However many keys are blocked, with however much behind them, another key's message is handled."""
    app = rb.App("app", actors=[diary(retry=SLOW)])
    async with rb.open_runtime(app, database=database_url, settings=SMALL) as runtime:
        await tell_many(runtime, 300, 30, failing=frozenset(range(30)))
        await runtime.tell("diary", "free", Note(1))
        await looking.until("select count(*) = 1 from rolebook.events where key = 'free'")
        assert await looking.mailbox("diary") == 300


async def test_an_ask_waits_for_what_was_told_before_it(database_url: str, looking: Looking) -> None:
    """An ask to a key whose messages were set aside is still answered after them."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url, settings=SMALL) as runtime:
        await tell_many(runtime, 100, 1, failing=frozenset({0}))
        assert await runtime.ask("diary", "k0", Note(100)) == 101
    assert list(range(101)) == await looking.journal("diary", "k0")


async def test_a_blocked_key_of_a_queue_keeps_its_order(database_url: str) -> None:
    """A queue's handler with on_failure="block" handles a key in order across retries."""
    done: list[int] = []
    app = rb.App("app")

    @app.handler("mail", concurrency=4, retry=QUICK, on_failure="block")
    async def mail(command: Note, turn: rb.Turn) -> None:
        if turn.attempt <= command.failures:
            raise Broken("again")
        done.append(command.number)

    async with rb.open_runtime(app, database=database_url, settings=SMALL) as runtime:
        failing = (0, 7, 30)
        await runtime.send(
            *(rb.Enqueue("mail", Note(n, failures=int(n in failing)), key="k") for n in range(100))
        )
        await runtime.wait_idle()
    assert list(range(100)) == done


@pytest.mark.parametrize("policy", ["block", "park"])
async def test_blocked_keys_of_a_queue_do_not_stall_others(
    database_url: str, looking: Looking, policy: str
) -> None:
    """However many keys of a queue wait for a retry, with whatever behind them, other keys are handled."""
    done: list[int] = []
    app = rb.App("app")

    @app.handler("mail", concurrency=2, retry=SLOW, on_failure=policy)  # type: ignore[arg-type]
    async def mail(command: Note, turn: rb.Turn) -> None:
        if turn.attempt <= command.failures:
            raise Broken("again")
        done.append(command.number)

    async with rb.open_runtime(app, database=database_url, settings=SMALL) as runtime:
        await runtime.send(*(rb.Enqueue("mail", Note(n, failures=1), key=f"k{n % 6}") for n in range(60)))
        await runtime.enqueue("mail", Note(100), key="free")
        await eventually(lambda: done)
    assert done == [100]
    assert await looking.mailbox("mail") == 60
