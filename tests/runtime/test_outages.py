"""What the log says of an outage: a line for each attempt with reason and remedy, and one when it is over."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

import rolebook as rb
from rolebook.actors.supervision import ChildCrashed
from rolebook.runtime import Runtime
from rolebook.runtime.postgres.embedded import PostgresServer
from tests import databases
from tests.runtime.apps import Account, Deposit
from tests.waiting import eventually

APP = rb.App("app", actors=[Account])

# The scheduler notices soon, and the whole takes a second or two.
SETTINGS = rb.Settings(poll_interval=0.1, backoff=rb.Backoff(first=0.05, cap=0.4))

BACK = "the database is back after "


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of these tests' own, with a role that needs its password."""
    with databases.private_server() as started:
        rules = started.data / "pg_hba.conf"
        rules.write_text(f"local all worker scram-sha-256\n{rules.read_text()}")
        with admin(started) as connection:
            connection.execute("select pg_reload_conf()")
            connection.execute("create role worker login")
            connection.execute("create database shop owner worker")
        yield started


def admin(server: PostgresServer) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.url, autocommit=True)


def do(server: PostgresServer, *statements: str) -> None:
    """What the database's owner does."""
    with admin(server) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@asynccontextmanager
async def working(server: PostgresServer) -> AsyncGenerator[Runtime]:
    """A runtime of the role with its password, at work."""
    do(server, "alter role worker password 'right' connection limit -1")
    url = make_conninfo(server.url_of("shop"), user="worker", password="right")
    async with rb.open_runtime(APP, database=url, settings=SETTINGS) as runtime:
        await runtime.ask(Account, "a", Deposit(1))
        yield runtime


async def all_have_failed(runtime: Runtime, said: str) -> None:
    """Wait until session and scheduler failed for a reason, and some attempts have been made."""

    def parts() -> bool:
        tree = runtime.tree.snapshot()
        errors = [tree[path].last_error or "" for path in ("session/listener", "schedules/scheduler")]
        return all(said in error for error in errors) and tree["session/listener"].restarts > 4

    await eventually(parts)


class Log:
    """What was logged, and what failed, since the outage began."""

    def __init__(self, runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        caplog.clear()
        self.records = caplog.records
        self.events = runtime.tree.events()

    def is_over(self) -> bool:
        return any(BACK in each.getMessage() for each in self.records)

    def told(self) -> list[str]:
        """The story of the parts of the runtime."""
        return [each.getMessage() for each in self.records if each.name == "rolebook.supervision"]

    async def failures(self) -> int:
        """How often any part failed."""
        self.events.close()
        return len([event async for event in self.events if isinstance(event, ChildCrashed)])

    async def check(self, reason: str, remedy: str, *, least: int = 3) -> None:
        """One line each, no traceback, each attempt counted once, with reason and remedy, and the end."""
        formatter = logging.Formatter("%(message)s")
        assert [] == [text for each in self.records if "\n" in (text := formatter.format(each))]
        *attempts, end = self.told()
        assert [f"attempt {number}" for number in range(1, len(attempts) + 1)] == [
            line.split(": ")[0].split(", ")[1] for line in attempts
        ]
        about = [line for line in attempts if reason in line]
        assert len(about) >= least
        assert [] == [line for line in about if remedy not in line or "; trying again in " not in line]
        # Others fail for the same reason at the same time, and add nothing.
        assert len(attempts) < await self.failures()
        assert end.startswith(BACK)
        assert end.endswith(f" s, {len(attempts)} attempts")


async def test_a_password_that_was_changed(server: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    """The refusal is told once for each attempt, with what to check; then that the database is back."""
    async with working(server) as runtime:
        log = Log(runtime, caplog)
        do(server, "alter role worker password 'other'", END_ALL)
        await all_have_failed(runtime, "password authentication failed")
        do(server, "alter role worker password 'right'")
        await eventually(log.is_over)
        with trio.fail_after(30):
            assert await runtime.ask(Account, "a", Deposit(1)) > 1
    await log.check("password authentication failed", "remedy: check the user and the password in the URL")


async def test_a_commit_under_way_is_part_of_the_story(
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What is sent meanwhile is tried again, and has nothing to add to what the others tell."""
    async with working(server) as runtime, trio.open_nursery() as nursery:
        log = Log(runtime, caplog)
        do(server, "alter role worker password 'other'", END_ALL)
        for number in range(3):
            nursery.start_soon(runtime.tell, Account, f"b{number}", Deposit(1))
        await all_have_failed(runtime, "password authentication failed")
        do(server, "alter role worker password 'right'")
        await eventually(log.is_over)
        with trio.fail_after(30):
            await runtime.wait_idle()
            assert 1 == (await runtime.read(Account, "b2")).balance
    beside = [each for each in log.records if each.name != "rolebook.supervision"]
    assert [] == [each.getMessage() for each in beside if each.levelno >= logging.WARNING]
    assert any("looking up its outcome" in each.getMessage() for each in beside)
    # What the writer tells, once a second at most, the others do not tell again.
    remedy = "remedy: check the user and the password in the URL"
    await log.check("password authentication failed", remedy, least=1)


END_ALL = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'worker'"


@pytest.mark.parametrize("stop", [PostgresServer.stop, PostgresServer.kill], ids=["stopped", "killed"])
async def test_a_server_that_goes_and_comes(
    server: PostgresServer, stop: Callable[[PostgresServer], None], caplog: pytest.LogCaptureFixture
) -> None:
    """That nobody answers is told with all the lines of the library's reason in one."""
    async with working(server) as runtime:
        log = Log(runtime, caplog)
        await trio.to_thread.run_sync(stop, server)
        await all_have_failed(runtime, "cannot reach the database")
        # Until it is gone it may say for a while that it stops: the reason that is meant comes behind that.
        await eventually(lambda: sum("Is the server running locally" in line for line in log.told()) >= 3)
        await trio.to_thread.run_sync(server.start)
        await eventually(log.is_over)
        with trio.fail_after(30):
            assert await runtime.ask(Account, "a", Deposit(1)) > 1
    await log.check("Is the server running locally", "remedy: start the server")


async def test_too_many_connections(server: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    """A server without room for us is named with whose limit it is."""
    async with working(server) as runtime:
        log = Log(runtime, caplog)
        do(server, "alter role worker connection limit 0", END_ALL)
        await all_have_failed(runtime, "too many connections for role")
        do(server, "alter role worker connection limit -1")
        await eventually(log.is_over)
        with trio.fail_after(30):
            assert await runtime.ask(Account, "a", Deposit(1)) > 1
    await log.check(
        "too many connections for role", "remedy: use fewer connections, or raise max_connections"
    )
