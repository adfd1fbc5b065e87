"""A server that has forgotten the end of what it acknowledged: no hole, no ghost, and it is said."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest
import trio

import rolebook as rb
from rolebook.runtime.postgres._markers import Markers
from tests.runtime.apps import Account, Deposit
from tests.runtime.forgetting import END_ALL, forgetting
from tests.runtime.looking import Looking
from tests.waiting import WITHIN, eventually

APP = rb.App("bank", actors=[Account])
SETTINGS = rb.Settings(backoff=rb.Backoff(first=0.01, cap=0.1), poll_interval=0.2)


async def asked_until_answered(runtime: rb.Client, amount: int) -> int:
    """Ask; and ask again if what was under way is told that it has come to nothing."""
    with trio.fail_after(WITHIN):
        while True:
            with suppress(rb.ServerForgot):
                return await runtime.ask(Account, "alice", Deposit(amount))


SEQS = "select seq from rolebook.events where key = %s order by seq"


async def test_the_journal_goes_on_from_what_is_there(
    database_url: str, looking: Looking, caplog: pytest.LogCaptureFixture
) -> None:
    """An actor with more events in memory than its journal has is loaded anew; the log has the size."""
    async with rb.open_runtime(APP, database=database_url, settings=SETTINGS) as runtime:
        for _ in range(5):
            await runtime.ask(Account, "alice", Deposit(1))
        async with forgetting(looking):
            await looking.do("delete from rolebook.events where seq > 2")
        assert 3 == await asked_until_answered(runtime, 1)
        assert 4 == await runtime.ask(Account, "alice", Deposit(1))
        assert [(1,), (2,), (3,), (4,)] == await looking.rows(SEQS, "alice")
    assert 1 == sum("of this process 5 commits with 5 turns" in each.message for each in caplog.records)
    assert 1 == sum("the server has forgotten what" in each.message for each in caplog.records)


async def test_an_actor_that_was_forgotten_whole_begins_anew(database_url: str, looking: Looking) -> None:
    """Its first event is the first again."""
    async with rb.open_runtime(APP, database=database_url, settings=SETTINGS) as runtime:
        await runtime.ask(Account, "alice", Deposit(1))
        async with forgetting(looking):
            await looking.do("delete from rolebook.events")
        assert 1 == await asked_until_answered(runtime, 1)
        assert [(1,)] == await looking.rows(SEQS, "alice")


async def test_a_question_that_was_forgotten_is_no_silence(database_url: str, looking: Looking) -> None:
    """Who waits for a reply from another process is told: the question may be gone."""
    async with rb.open_runtime(APP, database=database_url, settings=SETTINGS):
        pass  # the queue has been run, so that a question is no mistake
    async with rb.open_client(APP, database=database_url, settings=SETTINGS) as client:
        with trio.fail_after(WITHIN), pytest.raises(rb.ServerForgot, match="1 commit with 1 turn"):
            await _ask_and_forget(client, looking)


async def test_control_without_the_markers_the_question_is_waited_for(
    database_url: str, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test before looks for does happen: without a look at the markers nobody is told."""

    async def trust(*_: object) -> None:
        return

    monkeypatch.setattr(Markers, "check", trust)
    async with rb.open_runtime(APP, database=database_url, settings=SETTINGS):
        pass
    async with rb.open_client(APP, database=database_url, settings=SETTINGS) as client:
        with trio.move_on_after(2) as waited:
            await _ask_and_forget(client, looking)
    assert waited.cancelled_caught


async def test_a_question_that_is_still_there_is_answered(
    database_url: str, looking: Looking, caplog: pytest.LogCaptureFixture
) -> None:
    """Something was forgotten, and not the question: who asked is not told that it came to nothing."""
    async with rb.open_runtime(APP, database=database_url, settings=SETTINGS):
        pass
    async with rb.open_client(APP, database=database_url, settings=SETTINGS) as client:
        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery:

                async def forget() -> None:
                    await looking.until("select count(*) = 1 from rolebook.messages")
                    async with forgetting(looking):
                        pass
                    await eventually(lambda: "the server has forgotten what" in caplog.text)
                    async with rb.open_runtime(APP, database=database_url, settings=SETTINGS):
                        await answered.wait()

                nursery.start_soon(forget)
                answered = trio.Event()
                assert 1 == await client.ask(Account, "alice", Deposit(1))
                answered.set()


async def _ask_and_forget(client: rb.Client, looking: Looking) -> None:
    async with trio.open_nursery() as nursery:

        async def forget() -> None:
            await looking.until("select count(*) = 1 from rolebook.messages")
            async with forgetting(looking):
                await looking.do("delete from rolebook.messages")

        nursery.start_soon(forget)
        try:
            await client.ask(Account, "alice", Deposit(1))
        except rb.ServerForgot as error:
            forgot = error
        else:
            raise AssertionError("nobody could answer")
    raise forgot


async def _the_writer_waits(looking: Looking) -> object:
    await looking.rows("select pg_stat_clear_snapshot()")  # a transaction sees one moment of it otherwise
    return await looking.value(
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock'"
        " and datname = current_database() and application_name like '% writer')"
    )


async def test_a_send_under_way_is_not_done(database_url: str, looking: Looking) -> None:
    """What was handed in before is refused to who waits for it; the next send is as ever."""
    async with rb.open_client(APP, database=database_url, settings=SETTINGS) as client:
        await client.tell(Account, "alice", Deposit(1))

        async def send() -> None:
            with pytest.raises(rb.ServerForgot):
                await client.tell(Account, "alice", Deposit(2))

        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery, forgetting(looking):
                await looking.do("delete from rolebook.messages")
                nursery.start_soon(send)
                await eventually(partial(_the_writer_waits, looking))
            await client.tell(Account, "alice", Deposit(3))
        assert [(3,)] == await looking.rows("select (payload ->> 'amount')::int from rolebook.messages")


async def test_a_backend_that_ends_alone_is_no_forgetting(
    database_url: str, looking: Looking, caplog: pytest.LogCaptureFixture
) -> None:
    """Sessions that end on a server which keeps everything cost a restart, and no word of loss."""
    async with rb.open_runtime(APP, database=database_url, settings=SETTINGS) as runtime:
        for count in range(1, 4):
            with trio.fail_after(WITHIN):
                assert count == await runtime.ask(Account, "alice", Deposit(1))
            await looking.rows(END_ALL)
        with trio.fail_after(WITHIN):
            assert 4 == await runtime.ask(Account, "alice", Deposit(1))
    assert "forgotten" not in caplog.text
