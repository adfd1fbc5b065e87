"""The listener: what it says of itself, and how soon it notices that it has gone deaf."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import rolebook as rb
from rolebook.runtime.postgres import Connection, connect_session
from rolebook.runtime.postgres._fetching import hold_number
from rolebook.runtime.postgres._listening import PostgresListenSession
from rolebook.runtime.system import FetcherSignal, Life, Listener, Look, LookAtOwners, Standing
from tests.proxy import open_proxy
from tests.runtime.apps import Account, Deposit
from tests.runtime.looking import Looking
from tests.waiting import eventually

LONG = 3600.0


async def go_deaf(url: str, settings: rb.Settings) -> bool:
    """Let the wire of the listening session go dark; say whether the runtime has noticed. Then heal it."""
    app = rb.App("app", actors=[Account])
    async with (
        open_proxy(url) as proxy,
        rb.open_runtime(app, database=url, direct_url=proxy.url, settings=settings) as runtime,
    ):
        await eventually(lambda: runtime.listening == "listening")
        proxy.freeze()
        with trio.move_on_after(2) as noticed:
            await eventually(lambda: runtime.listening == "degraded")
        proxy.cut()
        await proxy.heal()
        await eventually(lambda: runtime.listening == "listening")
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
    return not noticed.cancelled_caught


async def test_a_deaf_listener_is_noticed(database_url: str) -> None:
    """A link that swallows everything and reports nothing is noticed by the health check, and replaced."""
    backoff = rb.Backoff(first=0.01, cap=0.05)
    chosen = rb.Settings(health_interval=0.3, health_deadline=0.3, backoff=backoff)
    assert await go_deaf(database_url, chosen)


async def test_a_deaf_listener_is_noticed_control(database_url: str) -> None:
    """Without the health check nobody notices: silence is what a healthy listener hears, too."""
    assert not await go_deaf(database_url, rb.Settings(health_interval=LONG))


async def test_a_new_listener_looks_at_everything(database_url: str, looking: Looking) -> None:
    """What was sent while nobody listened is found as soon as somebody does, without a poll."""
    app = rb.App("app", actors=[Account])
    settings = rb.Settings(poll_interval=25, backoff=rb.Backoff(first=0.01, cap=0.05))
    async with rb.open_runtime(app, database=database_url, settings=settings):
        await looking.owned()
        for amount in range(1, 4):
            assert await looking.terminate("listener")
            await looking.do(
                "select rolebook.tell('account', 'a', 'account.deposit',"
                " json_build_object('amount', %s::int))",
                amount,
            )
            await looking.until("select count(*) = %s from rolebook.events", amount)


async def nothing_to_see(_: Connection) -> None: ...


class Hindered:
    """A store whose server hears LISTEN and does not do it, as behind a pooler.

    The server is real: it cuts a channel's name after 63 bytes, so it never listens to a longer one.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.channels = ("x" * 64,)

    @asynccontextmanager
    async def open_listen_session(self, life: int) -> AsyncGenerator[PostgresListenSession]:
        del life
        async with await connect_session(self.url, role="listener", process="test") as connection:
            yield PostgresListenSession(
                connection, self.channels, 5.0, begin=hold_number, look_around=nothing_to_see
            )


async def test_without_notifications_it_says_once_that_it_polls(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that does not let us listen does not end the session: the state says so, and the log, once."""
    store: Any = Hindered(database_url)
    to_fetcher, looks = trio.open_memory_channel[FetcherSignal](100)
    settings = rb.Settings(health_interval=0.05, poll_interval=0.02)
    listener = Listener(
        store, settings, "test", Life(1), to_fetcher, lambda: None, lambda _: None, lambda _: None, Standing()
    )
    with caplog.at_level(logging.INFO, "rolebook.listener"):
        async with trio.open_nursery() as nursery:
            await nursery.start(listener.run)
            assert listener.state == "polling"
            for _ in range(3):  # it tries again at each health check, and looks each time
                assert isinstance(await looks.receive(), Look)
                assert isinstance(await looks.receive(), LookAtOwners)
            assert listener.state == "polling"
            nursery.cancel_scope.cancel()
    assert [record.message[:40] for record in caplog.records if record.levelno == logging.WARNING] == [
        "notifications are not available (a poole"
    ]
