"""The server's queue of notifications fills up, by a stranger's doing: everything goes on, by polling.

Who listens and sits in an open transaction hears nothing, and what it has not heard stays in the queue, in
whatever database it is. A queue that is full fails the transaction of everybody who notifies.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from functools import partial

import psycopg
import pytest
import trio
from attrs import define, field

import rolebook as rb
from rolebook.runtime import Client, Runtime
from rolebook.runtime.postgres import Connection, connect_session
from rolebook.runtime.postgres.embedded import PostgresServer, find_binaries
from tests import databases
from tests.chaos.weakening import edit
from tests.runtime.apps import QUICK, Account, Broken, Deposit, Note
from tests.runtime.looking import Looking, looking_at
from tests.stores import create_migrated
from tests.waiting import eventually

POLLING = rb.Settings(
    poll_interval=0.4, take_interval=0.4, pool_size=2, backoff=rb.Backoff(first=0.05, cap=0.2)
)


@pytest.fixture(scope="module")
def small_queue() -> Generator[PostgresServer]:
    """A server whose queue of notifications has 64 pages."""
    if find_binaries(os.environ.get("ROLEBOOK_TEST_PG_BIN")).major < 17:
        pytest.skip("a server before 17 cannot be given a small queue: there 8 GB would have to be written")
    settings = {"max_notify_queue_pages": "64", "fsync": "off"}
    with databases.private_server(settings) as server:
        yield server


@pytest.fixture
def database_url(small_queue: PostgresServer) -> Generator[str]:
    """A database on it."""
    url = create_migrated(small_queue.url)
    yield url
    databases.drop_database(small_queue.url, url)


@define(eq=False)
class Stranger:
    """Sits in a transaction while it listens, and rings in a database of its own."""

    ear: Connection
    mouth: Connection

    async def fill(self, until: float) -> None:
        """Ring until so much of the queue is in use; above 1 until it is full."""
        with trio.fail_after(60):
            while await self.usage() < until:
                try:
                    await self.mouth.execute("select pg_notify('here', repeat('x', 7000))")
                except psycopg.errors.ProgramLimitExceeded:
                    return

    async def usage(self) -> float:
        """How much of the queue is in use."""
        answer = await self.mouth.execute("select pg_notification_queue_usage()")
        row = await answer.fetchone()
        assert row is not None
        return float(row[0])

    async def go(self) -> None:
        """End the transaction, and with it the trouble."""
        await self.ear.execute("commit")
        await self.ear.execute("unlisten *")


@pytest.fixture
async def stranger(small_queue: PostgresServer) -> AsyncGenerator[Stranger]:
    """One who listens, and has gone again at the end of the test."""
    connect = partial(connect_session, small_queue.url, process="stranger")
    async with await connect(role="ear") as ear, await connect(role="mouth") as mouth:
        await ear.execute("listen here")
        await ear.execute("begin")
        await ear.execute("select 1")
        yield Stranger(ear, mouth)


@pytest.fixture
async def looking(database_url: str) -> AsyncGenerator[Looking]:
    """A look into the database."""
    async with looking_at(database_url) as found:
        yield found


@define(eq=False)
class World:
    """What was handled, and whether parked work may succeed."""

    handled: list[int] = field(factory=list[int])
    is_broken: bool = False

    def app(self) -> rb.App:
        app = rb.App("world", actors=[Account])

        @app.handler("notes", on_failure="park", retry=QUICK)
        async def note(command: Note) -> None:
            if self.is_broken:
                raise Broken
            self.handled.append(command.number)

        return app


@asynccontextmanager
async def two(url: str, world: World) -> AsyncGenerator[tuple[Runtime, Client]]:
    """A process that serves, and one that only sends: it is on the other side of the bell."""
    app = world.app()
    async with (
        rb.open_runtime(app, database=url, settings=POLLING, process="owner") as runtime,
        rb.open_client(app, database=url, settings=POLLING, process="sender") as client,
    ):
        await runtime.wait_idle()
        yield runtime, client


@pytest.mark.parametrize("usage", [0.6, 2.0], ids=["over half", "full"])
async def test_everything_comes_by_polling(
    database_url: str, looking: Looking, stranger: Stranger, usage: float
) -> None:
    """Messages, replies, what is due later, what is resumed, and shares of who joins; nothing fails."""
    world = World()
    async with two(database_url, world) as (runtime, client):
        await stranger.fill(usage)
        before = await stranger.usage()
        with trio.fail_after(30):
            await client.enqueue("notes", Note(1))
            await looking.do("select rolebook.enqueue('notes', 'diary.note', '{\"number\": 2}')")
            async with client.connection() as connection, connection.transaction():
                await client.enqueue("notes", Note(3), connection=connection)
            await looking.do("begin isolation level repeatable read")
            await looking.do("select rolebook.enqueue('notes', 'diary.note', '{\"number\": 4}')")
            await looking.do("commit")
            await client.enqueue("notes", Note(5), delay=0.1)
            await eventually(lambda: sorted(world.handled) == [1, 2, 3, 4, 5])
            assert 7 == await client.ask(Account, "a", Deposit(7))
            world.is_broken = True
            await client.enqueue("notes", Note(6), key="k")
            await eventually(runtime.parked)
            world.is_broken = False
            await client.resume("notes", "k")
            await eventually(lambda: 6 in world.handled)
            async with rb.open_runtime(
                world.app(), database=database_url, settings=POLLING, process="another"
            ) as another:
                await eventually(lambda: another.statistics().mailbox.owned == {"account": 2, "notes": 2})
        assert before == await stranger.usage()
        assert [] == await runtime.dead_letters()


async def test_it_is_rung_again_once_there_is_room(
    database_url: str, looking: Looking, stranger: Stranger
) -> None:
    """Without anybody's doing."""
    async with looking_at(database_url) as ear:
        heard: list[str] = []
        ear.connection.add_notify_handler(lambda notify: heard.append(notify.payload))
        await ear.do("listen rolebook")
        await stranger.fill(0.6)
        await looking.do("select rolebook.ring('silence')")
        await stranger.go()
        await looking.do("select rolebook.ring('sound')")
        with trio.fail_after(10):
            while not heard:
                await ear.do("select 1")
        assert ["sound"] == heard


async def let_all_ring(looking: Looking) -> None:
    """Whoever rings has looked at the queue when there was room still: now there is none at its commit."""
    # To ask is what lets the server clear the queue: without that one that was full would stay so.
    for function in ("ring", "ring_owners"):
        await edit(looking, function, ("usage() <= float8 '0.5'", "usage() <= float8 '1'"))


async def test_a_commit_that_finds_the_queue_full_is_tried_again(
    database_url: str, looking: Looking, stranger: Stranger, caplog: pytest.LogCaptureFixture
) -> None:
    """It is nobody's fault: nothing is buried, no attempt is counted, and it pauses between tries."""
    await let_all_ring(looking)
    world = World()
    async with two(database_url, world) as (runtime, client):
        await stranger.fill(2.0)
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            await looking.do("select rolebook.enqueue('notes', 'diary.note', '{\"number\": 0}')")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.enqueue, "notes", Note(1))
            nursery.start_soon(client.ask, Account, "a", Deposit(7))
            await eventually(lambda: caplog.text.count("too many notifications in the NOTIFY queue") >= 5)
            assert [] == world.handled
            await stranger.go()
        await eventually(lambda: world.handled == [1])
        assert [] == await runtime.dead_letters()
        assert [] == await runtime.parked()
        assert 7 == (await runtime.read(Account, "a")).balance
    assert caplog.text.count("too many notifications in the NOTIFY queue") < 500


async def test_a_turn_whose_own_transaction_finds_the_queue_full_costs_no_attempt(
    database_url: str, looking: Looking, stranger: Stranger
) -> None:
    """As one that lacks anything else of the server: it waits, and is begun again."""
    await let_all_ring(looking)
    app, begun, done = rb.App("turns"), list[int](), trio.Event()

    @app.handler("work", retry=QUICK)
    async def work(_: Note, turn: rb.Turn) -> None:
        begun.append(turn.attempt)
        async with turn.connection() as connection:
            await connection.execute("select rolebook.ring('*')")
        done.set()

    async with rb.open_runtime(app, database=database_url, settings=POLLING) as runtime:
        await runtime.wait_idle()
        await stranger.fill(2.0)
        await looking.do(
            "insert into rolebook.messages (queue, partition, type, payload)"
            " values ('work', 0, 'diary.note', '{\"number\": 1}')"
        )
        await eventually(lambda: len(begun) >= 5)
        await stranger.go()
        await runtime.wait_idle()
        assert {1} == set(begun)
        assert [] == await runtime.dead_letters()
