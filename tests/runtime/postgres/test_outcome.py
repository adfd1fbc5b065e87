"""The outcome of a commit is never guessed: every way in which the link can break during it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
import trio
from attrs import define, evolve, field
from trio.testing import wait_all_tasks_blocked

from rolebook.actors import Backoff
from rolebook.runtime.contract import BadData, Committed, CommitUnit, Message, Troubles, Untold
from rolebook.runtime.postgres import Connection, DatabaseUnreachable, connect_session
from rolebook.runtime.postgres._markers import Markers
from rolebook.runtime.postgres._outcome import Certainty
from rolebook.runtime.postgres._statements import Statements
from rolebook.runtime.postgres._writing import PostgresWriteSession
from tests.proxy import Proxy, open_proxy
from tests.stores import (
    SETTINGS,
    PostgresBench,
    Process,
    event_row,
    execute,
    finished,
    nonce_of,
    open_postgres_bench,
    open_process,
    send_row,
)
from tests.waiting import eventually

BACKOFF = Backoff(first=0.01, cap=0.05)
QUICK = evolve(SETTINGS, backoff=BACKOFF, pool_size=1)


@pytest.fixture
async def proxy(migrated_url: str) -> AsyncGenerator[Proxy]:
    """A wire to the migrated database that can be cut."""
    async with open_proxy(migrated_url) as proxy:
        yield proxy


@pytest.fixture
async def direct(migrated_url: str) -> AsyncGenerator[PostgresBench]:
    """The store, on a wire of its own that nothing happens to."""
    async with open_postgres_bench(migrated_url, QUICK) as bench:
        yield bench


@pytest.fixture
async def process(direct: PostgresBench) -> AsyncGenerator[Process]:
    """A process that owns the queue and has one message in it."""
    async with open_process(direct.store) as process:
        await process.send(send_row(1))
        yield process


async def turn_of(process: Process) -> tuple[Message, CommitUnit]:
    """The message, and a turn that handles it."""
    (message,) = await process.messages()
    turn = finished(fence=message.fence, consumed=message, events=[event_row(1)], sends=[send_row(2)])
    return message, turn


async def assert_done_once(process: Process) -> None:
    """One event, one message sent, the first one gone."""
    assert [event.seq for event in (await process.store.read_events("account", "a", 0, 10)).events] == [1]
    assert [message.payload for message in await process.messages()] == ["2"]


@asynccontextmanager
async def writing(
    *urls: str, deadline: float = 10.0, troubles: Troubles | None = None
) -> AsyncGenerator[PostgresWriteSession]:
    """A writer whose connections go to these URLs, one after the other, and then to the last."""
    rest = list(urls)

    async def connect() -> Connection:
        url = rest.pop(0) if len(rest) > 1 else rest[0]
        return await connect_session(url, role="writer", process="broken", prepare_threshold=0)

    session = PostgresWriteSession(
        Certainty(
            "writer",
            connect,
            Statements("rolebook"),
            Markers(),
            "rolebook",
            deadline,
            BACKOFF,
            troubles or Untold(),
        )
    )
    try:
        yield session
    finally:
        await session.close()


@asynccontextmanager
async def stalled(bench: PostgresBench) -> AsyncGenerator[Callable[[], Awaitable[int]]]:
    """Nobody can append to the journal inside the block; gives a wait for the backend that tries to."""
    blocker, watcher = await bench.connect("blocker"), await bench.connect("watcher")

    async def pid_of_waiter() -> int:
        with trio.fail_after(10):
            while True:
                waiting = await execute(
                    watcher,
                    "select pid from pg_stat_activity where datname = current_database()"
                    " and wait_event_type = 'Lock' and application_name like 'rolebook broken%%'",
                )
                if waiting:
                    return int(waiting[0][0])

    await blocker.execute("begin")
    await blocker.execute("lock table rolebook.events in share row exclusive mode")
    yield pid_of_waiter
    await blocker.execute("commit")


async def test_the_answer_is_lost(process: Process, direct: PostgresBench, proxy: Proxy) -> None:
    """The link breaks while the server commits: the writer waits for the outcome."""
    _, turn = await turn_of(process)
    answers: list[object] = []
    async with writing(proxy.url) as writer, trio.open_nursery() as nursery:

        async def commit() -> None:
            answers.append(await writer.commit([turn], [], nonce_of(turn)))

        async with stalled(direct) as waiting:
            nursery.start_soon(commit)
            await waiting()
            proxy.cut()
            # The look-up begins while the commit is still under way.
            await wait_all_tasks_blocked(0.05)
            assert not answers
    assert answers == [Committed()]
    await assert_done_once(process)


async def test_the_backend_is_killed(process: Process, direct: PostgresBench, migrated_url: str) -> None:
    """A commit that the server gave up is done again, on a new connection."""
    _, turn = await turn_of(process)
    admin = await direct.connect("admin")
    answers: list[object] = []
    async with writing(migrated_url) as writer, trio.open_nursery() as nursery:

        async def commit() -> None:
            answers.append(await writer.commit([turn], [], nonce_of(turn)))

        async with stalled(direct) as waiting:
            nursery.start_soon(commit)
            await execute(admin, "select pg_terminate_backend(%s, 5000)", await waiting())
    assert answers == [Committed()]
    await assert_done_once(process)


async def test_the_request_is_lost(process: Process, proxy: Proxy) -> None:
    """A request that never arrived is sent again."""
    _, turn = await turn_of(process)
    async with writing(proxy.url) as writer:
        assert await writer.commit([finished()], [], None) == Committed()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit_once, writer, turn)
            proxy.freeze()
            await wait_all_tasks_blocked(0.05)
            proxy.cut()
            await proxy.heal()
    await assert_done_once(process)


async def commit_once(writer: PostgresWriteSession, turn: CommitUnit) -> None:
    assert await writer.commit([turn], [], nonce_of(turn)) == Committed()


async def test_a_request_arrives_after_its_outcome_was_decided(
    process: Process, direct: PostgresBench, proxy: Proxy, migrated_url: str
) -> None:
    """A link goes dark and delivers late: the late request changes nothing."""
    _, turn = await turn_of(process)
    admin = await direct.connect("admin")
    async with writing(proxy.url, migrated_url, deadline=0.3) as writer:
        assert await writer.commit([finished()], [], None) == Committed()
        proxy.freeze()
        assert await writer.commit([turn], [], nonce_of(turn)) == Committed()
        await assert_done_once(process)
        await proxy.heal()
        await proxy.wait_links(0)
    with trio.fail_after(10):
        while await execute(
            admin, "select 1 from pg_stat_activity where application_name = 'rolebook broken writer'"
        ):
            pass
    await assert_done_once(process)


async def test_a_refusal_is_no_break(process: Process) -> None:
    """What the server refuses is not looked up and not repeated: the next commit uses the same connection."""
    _, turn = await turn_of(process)
    writer = process.writer
    connection = writer._connection
    refused = await writer.commit([finished(sends=[send_row(1)._replace(payload="{")])], [], None)
    assert isinstance(refused, BadData)
    assert await writer.commit([turn], [], nonce_of(turn)) == Committed()
    assert writer._connection is connection


async def test_a_missing_table_is_raised(process: Process, direct: PostgresBench) -> None:
    """A schema that lacks what the program needs is no outage: waiting would not mend it."""
    admin = await direct.connect("admin")
    _, turn = await turn_of(process)
    await execute(admin, "alter table rolebook.events rename to gone")
    try:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await process.writer.commit([turn], [], nonce_of(turn))
    finally:
        await execute(admin, "alter table rolebook.gone rename to events")


@define
class Told:
    """What the writer said of its troubles."""

    errors: list[Exception] = field(factory=list[Exception])
    overs: int = 0

    def met(self, part: str, error: Exception, delay: float) -> None:
        assert part == "writer"
        assert 0 <= delay <= BACKOFF.cap
        self.errors.append(error)

    async def wait(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def overcome(self, part: str) -> None:
        assert part == "writer"
        self.overs += 1

    def gave_up(self, part: str) -> None:
        assert part == "writer"


async def test_the_server_is_gone_for_a_while(process: Process, proxy: Proxy) -> None:
    """Nobody answers, not even to the look-up: the writer keeps trying, says why, and then commits once."""
    _, turn = await turn_of(process)
    told = Told()
    async with writing(proxy.url, troubles=told) as writer:
        assert await writer.commit([finished()], [], None) == Committed()
        await proxy.refuse()
        proxy.cut()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit_once, writer, turn)
            await eventually(lambda: len(told.errors) > 3)
            assert told.overs == 1  # after the first
            await proxy.heal()
    await assert_done_once(process)
    assert told.overs == 2
    assert {DatabaseUnreachable} == set(map(type, told.errors))


async def test_markers_do_not_pile_up(process: Process, direct: PostgresBench) -> None:
    """However many commits, by its writer and by turns, a process leaves one marker behind."""
    admin = await direct.connect("admin")
    for _ in range(20):
        await process.commit(finished())
        async with direct.store.open_turn_transaction() as transaction:
            await transaction.commit(finished())
    assert await execute(admin, "select count(*) from rolebook.commits") == [(1,)]


# ---- turns with a transaction of their own ----

LATE_LOCK = 4711
"""Taken at the very end of a commit, by a deferred trigger."""

LATE_TRIGGER = f"""
create function rolebook.wait_at_commit() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared({LATE_LOCK});
    return null;
end $$;
create constraint trigger at_commit after insert on rolebook.events
    deferrable initially deferred for each row execute function rolebook.wait_at_commit();
"""


async def test_a_turn_transaction_whose_commit_got_no_answer(
    process: Process, direct: PostgresBench, proxy: Proxy
) -> None:
    """The link breaks inside COMMIT: the turn waits for its outcome; the pool is no help."""
    _, turn = await turn_of(process)
    blocker, admin = await direct.connect("blocker"), await direct.connect("admin")
    await blocker.execute(LATE_TRIGGER.encode())
    await execute(blocker, "select pg_advisory_lock(%s)", LATE_LOCK)
    done = trio.Event()
    try:
        async with open_postgres_bench(proxy.url, QUICK) as remote, trio.open_nursery() as nursery:

            async def handle() -> None:
                async with remote.store.open_turn_transaction() as transaction:
                    await transaction.commit(turn)
                done.set()

            nursery.start_soon(handle)
            with trio.fail_after(10):
                while not await execute(
                    admin,
                    "select 1 from pg_locks where locktype = 'advisory' and objid = %s and not granted",
                    LATE_LOCK,
                ):
                    pass
            proxy.cut()
            await wait_all_tasks_blocked(0.05)
            assert not done.is_set()
            await execute(blocker, "select pg_advisory_unlock(%s)", LATE_LOCK)
            with trio.fail_after(10):
                await done.wait()
        await assert_done_once(process)
    finally:
        await execute(blocker, "drop trigger at_commit on rolebook.events")
        await execute(blocker, "drop function rolebook.wait_at_commit")


async def test_a_turn_transaction_whose_backend_is_killed(process: Process, direct: PostgresBench) -> None:
    """Nothing of it happened, and it says so with the error; the message stays for another try."""
    _, turn = await turn_of(process)
    admin = await direct.connect("admin")

    async def handle() -> None:
        async with direct.store.open_turn_transaction() as transaction:
            await direct.store.send(transaction.connection, [send_row(3)], [], [])
            pid = transaction.connection.info.backend_pid
            await execute(admin, "select pg_terminate_backend(%s, 5000)", pid)
            await transaction.commit(turn)

    with pytest.raises(psycopg.OperationalError):
        await handle()
    assert [message.payload for message in await process.messages()] == ["1"]


async def test_a_turn_transaction_that_the_handler_broke(process: Process, direct: PostgresBench) -> None:
    """An error of the handler's SQL that it swallowed voids the turn: PostgreSQL commits nothing after it."""
    _, turn = await turn_of(process)

    async def handle() -> None:
        async with direct.store.open_turn_transaction() as transaction:
            with pytest.raises(psycopg.errors.DivisionByZero):
                await transaction.connection.execute("select 1 / 0")
            await transaction.commit(turn)

    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        await handle()
    assert [message.payload for message in await process.messages()] == ["1"]
