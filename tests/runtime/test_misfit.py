"""A schema that stops to fit while a runtime is at work: said with the remedy, and mended from outside."""

import logging
from typing import LiteralString

import pytest
import trio
from psycopg import sql
from psycopg.conninfo import make_conninfo

import rolebook as rb
from tests.runtime.apps import Account, Deposit
from tests.runtime.looking import Looking
from tests.runtime.test_bad_database import role
from tests.waiting import eventually

SETTINGS = rb.Settings(poll_interval=0.1, backoff=rb.Backoff(first=0.01, cap=0.05))


TABLE = ("alter table rolebook.messages rename to gone", "alter table rolebook.gone rename to messages")
SCHEMA = ("alter schema rolebook rename to gone", "alter schema gone rename to rolebook")


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """An empty database: here it matters who makes the schema."""
    return empty_database_url


@pytest.mark.parametrize("change", [TABLE, SCHEMA], ids=["table", "schema"])
async def test_the_session_says_what_is_missing_and_goes_on_when_it_is_back(
    change: tuple[LiteralString, LiteralString],
    database_url: str,
    looking: Looking,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the thing and the remedy, without a traceback; nothing has to be restarted."""
    spoil, mend = change
    app = rb.App("app", actors=[Account])
    caplog.set_level(logging.INFO)
    async with rb.open_runtime(app, database=database_url, settings=SETTINGS) as runtime:
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
        await looking.do(spoil)

        def error() -> str | None:
            return runtime.tree.snapshot()["session/fetcher"].last_error

        await eventually(lambda: error() is not None and runtime.listening == "degraded")
        await looking.do(mend)
        with trio.fail_after(30):
            assert await runtime.ask(Account, "a", Deposit(1)) == 2
    said = error_of(caplog)
    assert "does not exist: schema 'rolebook' is not as this version made it" in said
    assert "run `rolebook migrate`" in said
    assert "Traceback" not in said


async def test_a_right_that_is_taken_away(database_url: str, looking: Looking) -> None:
    """The tree names the table and says to grant the right again; with it the work goes on."""
    app = rb.App("app", actors=[Account])
    async with role(looking) as name:
        me = sql.Identifier(name)
        here = sql.Identifier(looking.connection.info.dbname)
        await looking.connection.execute(sql.SQL("grant create on database {} to {}").format(here, me))
        url = make_conninfo(database_url, user=name, password="secret")
        async with rb.open_runtime(app, database=url, settings=SETTINGS) as runtime:
            assert await runtime.ask(Account, "a", Deposit(1)) == 1
            rights = sql.SQL("{} select on rolebook.messages {} {}")
            await looking.connection.execute(rights.format(sql.SQL("revoke"), sql.SQL("from"), me))
            await eventually(lambda: runtime.tree.snapshot()["session/fetcher"].last_error is not None)
            error = runtime.tree.snapshot()["session/fetcher"].last_error or ""
            await looking.connection.execute(rights.format(sql.SQL("grant"), sql.SQL("to"), me))
            with trio.fail_after(30):
                assert await runtime.ask(Account, "a", Deposit(1)) == 2
    assert "permission denied for table messages: a right" in error
    assert "Grant it again" in error


def error_of(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged of the first failure, as a log file shows it: all parts fail for the same reason."""
    formatter = logging.Formatter("%(message)s")
    return next(
        formatter.format(record) for record in caplog.records if "failed, attempt 1" in record.getMessage()
    )
