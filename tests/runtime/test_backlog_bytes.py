"""Backlogs of large messages: bounded in bytes as in rows, in order, none lost, none twice."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import pytest
import trio

import rolebook as rb
from rolebook.runtime import Runtime
from tests.runtime.apps import QUICK, SLOW, Broken, Note, diary
from tests.runtime.looking import Looking

TIGHT = rb.Settings(mailbox_bytes=1024 * 1024, batch_bytes=1024 * 1024, replay_bytes=1024 * 1024)
"""Ten large messages of one queue in memory, three in one read."""

LARGE = {"padding": "x" * 100_000}


async def tell_many(
    runtime: Runtime, numbers: range, keys: int, failing: frozenset[int] = frozenset()
) -> None:
    """Send large notes round-robin to some keys, in one transaction."""
    await runtime.send(
        *(rb.Tell("diary", f"k{n % keys}", Note(n, int(n in failing)), headers=LARGE) for n in numbers)
    )


@pytest.mark.parametrize("keys", [1, 40])
async def test_a_backlog_far_larger_than_the_mailbox(database_url: str, looking: Looking, keys: int) -> None:
    """Though there is room for its rows, it is read in pages."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url, settings=TIGHT) as runtime:
        await tell_many(runtime, range(200), keys)
        await runtime.wait_idle()
        for key in range(keys):
            assert list(range(key, 200, keys)) == await looking.journal("diary", f"k{key}")
        assert runtime._running is not None
        assert runtime._running.assembly.fetcher.mailbox("diary").peak <= 10


async def test_many_blocked_keys_of_large_messages(database_url: str, looking: Looking) -> None:
    """What is held of them is dropped from memory too, and read again when its time has come."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url, settings=TIGHT) as runtime:
        await tell_many(runtime, range(120), 40, failing=frozenset(range(60)))
        await runtime.wait_idle()
        assert await runtime.dead_letters() == []
    for key in range(40):
        assert list(range(key, 120, 40)) == await looking.journal("diary", f"k{key}")


async def test_blocked_keys_do_not_stall_others(database_url: str, looking: Looking) -> None:
    """Forty keys that wait ten minutes for a retry, each with a large message, leave room for the rest."""
    app = rb.App("app", actors=[diary(retry=SLOW)])
    async with rb.open_runtime(app, database=database_url, settings=TIGHT) as runtime:
        await tell_many(runtime, range(120), 40, failing=frozenset(range(40)))
        await runtime.tell("diary", "free", Note(1))
        await looking.until("select count(*) = 1 from rolebook.events where key = 'free'")
        assert await looking.mailbox("diary") == 120


async def test_blocked_keys_of_a_queue_keep_their_order(database_url: str) -> None:
    """With large messages that are dropped from memory while they wait."""
    done: dict[int, list[int]] = {key: [] for key in range(20)}
    app = rb.App("app")

    @app.handler("mail", concurrency=4, retry=QUICK, on_failure="block")
    async def mail(command: Note, turn: rb.Turn) -> None:
        assert turn.headers["padding"] == LARGE["padding"]
        if turn.attempt <= command.failures:
            raise Broken("again")
        done[command.number % 20].append(command.number)

    async with rb.open_runtime(app, database=database_url, settings=TIGHT) as runtime:
        failing = frozenset(range(0, 80, 3))  # not the last of a key: who waits for its retry is idle
        notes = [Note(n, int(n in failing)) for n in range(100)]
        await runtime.send(*(rb.Enqueue("mail", n, key=f"k{n.number % 20}", headers=LARGE) for n in notes))
        await runtime.wait_idle()
    assert done == {key: list(range(key, 100, 20)) for key in range(20)}


async def test_a_queue_of_large_messages_keeps_no_other_waiting(database_url: str) -> None:
    """Its handler stands still; another queue's small messages are read and handled."""
    app, waiting, done = rb.App("app"), trio.Event(), trio.Event()

    @app.handler("slow")
    async def slow(command: Note) -> None:
        del command
        await waiting.wait()

    @app.handler("quick")
    async def quick(command: Note) -> None:
        if command.number == 99:
            done.set()

    async with rb.open_runtime(app, database=database_url, settings=TIGHT) as runtime:
        await runtime.send(*(rb.Enqueue("slow", Note(n), headers=LARGE) for n in range(50)))
        await runtime.send(*(rb.Enqueue("quick", Note(n), key="k") for n in range(100)))
        with trio.fail_after(20):
            await done.wait()
        waiting.set()
        await runtime.wait_idle()


async def test_a_message_larger_than_all_bounds(database_url: str, looking: Looking) -> None:
    """It passes alone, with those before and behind it."""
    huge = {"padding": "x" * 3_000_000}
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url, settings=TIGHT) as runtime:
        for number in range(12):
            headers = huge if number % 4 == 2 else LARGE
            await runtime.tell("diary", "k", Note(number), headers=headers)
        await runtime.wait_idle()
    assert list(range(12)) == await looking.journal("diary", "k")
