"""What the database lacks is no message's fault: no attempt is counted, and the work waits and goes on."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import evolve, frozen
from psycopg.conninfo import make_conninfo

import rolebook as rb
from rolebook.runtime.handlers._shortage import QUIET
from tests.proxy import open_proxy
from tests.runtime.apps import Note
from tests.runtime.looking import Looking
from tests.waiting import WITHIN, eventually

ONCE = rb.Retry(attempts=1)
SETTINGS = rb.Settings(pool_size=1, acquire_timeout=0.05, backoff=rb.Backoff(first=0.01, cap=0.1))


@frozen
class Worked:
    """An app whose handler wants a transaction for each message, and lets go when it is told."""

    app: rb.App
    release: trio.Event


@asynccontextmanager
async def a_role(looking: Looking, url: str) -> AsyncGenerator[str]:
    """A role that may use the runtime's schema, and the URL with it."""
    await looking.do("create role frugal login")
    try:
        await looking.do("grant all on schema public, rolebook to frugal")
        await looking.do("grant all on all tables in schema public, rolebook to frugal")
        await looking.do("grant all on all sequences in schema rolebook to frugal")
        yield make_conninfo(url, user="frugal")
    finally:
        await looking.do("drop owned by frugal")
        await looking.do("drop role frugal")


def worked() -> Worked:
    """An app that handles many messages at once; its handler holds its connection until released."""
    app, release = rb.App("app"), trio.Event()

    @app.handler("mail", concurrency=8, retry=ONCE)
    async def mail(command: Note, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute("insert into public.done values (%s)", (command.number,))
            await release.wait()

    return Worked(app, release)


async def test_a_pool_that_is_exhausted_costs_no_attempt(
    database_url: str, looking: Looking, caplog: pytest.LogCaptureFixture
) -> None:
    """Eight handlers and one connection: those without one wait, whatever their messages' attempts."""
    caplog.set_level(logging.INFO, "rolebook.handler")
    await looking.do("create table public.done (number int)")
    it = worked()
    async with rb.open_runtime(it.app, database=database_url, settings=SETTINGS) as runtime:
        await runtime.send(*(rb.Enqueue("mail", Note(n), key=f"k{n % 9}") for n in range(30)))
        await runtime.send(*(rb.Enqueue("mail", Note(n)) for n in range(30, 60)))

        def says_so() -> bool:
            return "waits since" in str(runtime.tree.snapshot()) and "PoolExhausted" in str(
                runtime.tree.snapshot()
            )

        await eventually(says_so)
        it.release.set()
        with trio.fail_after(WITHIN):
            await runtime.wait_idle()
        assert [] == await runtime.dead_letters()
        assert "waits since" not in str(runtime.tree.snapshot())
    assert [(n,) for n in range(60)] == await looking.rows("select number from public.done order by number")
    assert 1 == sum("waits, at no message's cost: PoolExhausted" in each for each in caplog.messages)


async def test_a_role_without_connections_left_costs_no_attempt(
    database_url: str, looking: Looking, caplog: pytest.LogCaptureFixture
) -> None:
    """The server refuses further connections to the role; when it has more, everything is handled."""
    await looking.do("create table public.done (number int)")
    it = worked()
    it.release.set()
    settings = rb.Settings(pool_size=4, acquire_timeout=5, backoff=SETTINGS.backoff)
    async with (
        a_role(looking, database_url) as url,
        rb.open_runtime(it.app, database=url, settings=settings) as runtime,
    ):
        with trio.fail_after(WITHIN):
            await runtime.enqueue("mail", Note(0))  # its own sessions are open then, and one of the pool
            await runtime.wait_idle()
            await looking.do("alter role frugal connection limit 3")  # fewer than that
            await runtime.send(*(rb.Enqueue("mail", Note(n)) for n in range(1, 60)))
            await eventually(lambda: "DatabaseRefused" in caplog.text)
            await looking.do("alter role frugal connection limit -1")
            await runtime.wait_idle()
        assert [] == await runtime.dead_letters()
    assert [(n,) for n in range(60)] == await looking.rows("select number from public.done order by number")


async def test_a_link_that_breaks_costs_no_attempt(database_url: str, looking: Looking) -> None:
    """A turn whose own connection is cut is void, and tried again with its one attempt."""
    await looking.do("create table public.done (number int)")
    app, inside, go_on = rb.App("app"), trio.Event(), trio.Event()

    @app.handler("mail", retry=ONCE)
    async def mail(command: Note, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute("insert into public.done values (%s)", (turn.attempt,))
            inside.set()
            await go_on.wait()
            await connection.execute("insert into public.done values (%s)", (command.number,))

    async with (
        open_proxy(database_url) as proxy,
        rb.open_runtime(app, database=proxy.url, settings=SETTINGS) as runtime,
    ):
        await runtime.enqueue("mail", Note(7))
        with trio.fail_after(WITHIN):
            await inside.wait()
            proxy.cut()
            go_on.set()
            await looking.until("select not exists (select from rolebook.messages)")
    assert 0 == await looking.value("select count(*) from rolebook.dead_letters")
    assert [(1,), (7,)] == await looking.rows("select number from public.done")


async def test_a_commit_without_an_answer_costs_no_attempt(
    database_url: str, looking: Looking, caplog: pytest.LogCaptureFixture
) -> None:
    """The link goes dark before a turn's own commit: that did not happen, and its message is not to blame."""
    caplog.set_level(logging.INFO, "rolebook.writer")
    await looking.do("create table public.done (number int)")
    app, inside, go_on = rb.App("app"), trio.Event(), trio.Event()
    attempts = list[int]()

    @app.handler("mail", retry=ONCE)
    async def mail(command: Note, turn: rb.Turn) -> None:
        attempts.append(turn.attempt)
        async with turn.connection() as connection:
            await connection.execute("insert into public.done values (%s)", (command.number,))
            inside.set()
            await go_on.wait()

    settings = evolve(SETTINGS, command_deadline=0.5)
    async with (
        open_proxy(database_url) as proxy,
        rb.open_runtime(app, database=proxy.url, settings=settings) as runtime,
    ):
        await runtime.enqueue("mail", Note(7))
        with trio.fail_after(WITHIN):
            await inside.wait()
            proxy.freeze()
            go_on.set()
            await eventually(lambda: "looking up its outcome" in caplog.text)
            await proxy.heal()
            await looking.until("select not exists (select from rolebook.messages)")
    assert 0 == await looking.value("select count(*) from rolebook.dead_letters")
    assert [(7,)] == await looking.rows("select number from public.done")
    assert [1, 1] == attempts


async def test_a_turn_that_fails_by_itself_still_costs_its_attempt(
    database_url: str, looking: Looking
) -> None:
    """An error of the handler's own SQL is its own: with one attempt it is a dead letter."""
    await looking.do("create table public.done (number int primary key)")
    it = worked()
    it.release.set()
    async with rb.open_runtime(it.app, database=database_url) as runtime:
        await runtime.send(rb.Enqueue("mail", Note(1)), rb.Enqueue("mail", Note(1)))
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
    assert "UniqueViolation" in letter.error


async def test_a_shutdown_does_not_wait_for_what_is_short(database_url: str, looking: Looking) -> None:
    """Turns that wait are given back at once; the next process handles their messages."""
    await looking.do("create table public.done (number int)")
    it = worked()
    settings = rb.Settings(pool_size=1, acquire_timeout=0.05, backoff=rb.Backoff(first=60, cap=60, jitter=0))
    with trio.fail_after(WITHIN):
        async with rb.open_runtime(it.app, database=database_url, settings=settings) as runtime:
            await runtime.send(*(rb.Enqueue("mail", Note(n), key=str(n)) for n in range(5)))
            await eventually(lambda: "waits since" in str(runtime.tree.snapshot()))
            it.release.set()
            started = trio.current_time()
        assert trio.current_time() - started < 30
        async with rb.open_runtime(it.app, database=database_url) as runtime:
            await runtime.wait_idle()
            assert [] == await runtime.dead_letters()
    assert 5 == await looking.value("select count(*) from public.done")


def test_it_is_quiet_for_longer_than_a_try() -> None:
    """Else it would be said to be over between two turns that press on the same."""
    assert QUIET > SETTINGS.acquire_timeout


async def test_more_handlers_than_connections_are_named_at_the_start(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The arithmetic is in the log; where the pool is large enough, nothing is said."""
    caplog.set_level(logging.INFO, "rolebook")
    it = worked()
    async with rb.open_runtime(it.app, database=database_url, settings=SETTINGS):
        assert "up to 8 messages are worked on at once" in caplog.text
        assert "(mail 8), and the pool has 1 connections" in caplog.text
    caplog.clear()
    enough = rb.Settings(pool_size=2, concurrency={"mail": 2})
    async with rb.open_runtime(it.app, database=database_url, settings=enough):
        assert "worked on at once" not in caplog.text
