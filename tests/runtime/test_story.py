"""The story of a trouble: what is told of failures, and what is passed over."""

import logging

import psycopg
import pytest
import trio
from trio.testing import MockClock

from rolebook.actors import Backoff, Child, Supervisor, open_supervisor
from rolebook.runtime._outages import Outages, trouble_of
from rolebook.runtime._story import MEMORY, Attempt, End, Story, Trouble
from rolebook.runtime.postgres import DatabaseAddress, DatabaseRefused, PoolExhausted, SchemaError

AWAY = Trouble("no server", is_outage=True, kind="no server")
LOCKED = Trouble("wrong password", is_outage=True, kind="wrong password")
BUG = Trouble("KeyError: 'x'", is_outage=False, kind="KeyError: 'x'")


def test_each_attempt_of_one_part_is_told_and_its_end() -> None:
    """The first is news, the others are counted, and the end has the time and the number."""
    story = Story()
    assert Attempt(1, is_news=True) == story.failed("session", AWAY, 10.0)
    assert Attempt(2, is_news=False) == story.failed("session", AWAY, 10.1)
    assert Attempt(3, is_news=False) == story.failed("session", AWAY, 11.0)
    assert End(2.5, 3, was_outage=True) == story.recovered("session", 12.5)


def test_others_add_nothing_while_the_first_goes_on() -> None:
    """Another part with the same reason is passed over, though its pauses are at their beginning."""
    story = Story()
    story.failed("session", AWAY, 0.0, delay=8.0)
    assert [None] * 3 == [story.failed("scheduler", AWAY, at) for at in (0.0, 4.0, 7.9)]
    assert Attempt(2, is_news=False) == story.failed("session", AWAY, 8.1, delay=16.0)
    assert story.failed("scheduler", AWAY, 20.0) is None


def test_a_short_pause_is_no_reason_to_tell_it_twice() -> None:
    """Two parts that fall in the same moment are told once, however soon the first tries again."""
    story = Story()
    story.failed("listener", AWAY, 0.0, delay=0.001)
    assert story.failed("fetcher", AWAY, 0.002) is None


def test_another_goes_on_when_the_first_has_come_back() -> None:
    """Who fails after the time at which the first was to try again tells, and does so from then on."""
    story = Story()
    story.failed("listener", AWAY, 0.0, delay=2.0)
    assert Attempt(2, is_news=False) == story.failed("fetcher", AWAY, 2.1, delay=4.0)
    assert Attempt(3, is_news=False) == story.failed("fetcher", AWAY, 6.2, delay=8.0)
    assert story.failed("listener", AWAY, 6.3) is None


def test_a_new_reason_is_always_told() -> None:
    """Whoever meets it, and once more when the first reason comes back from somebody else later."""
    story = Story()
    story.failed("session", AWAY, 0.0, delay=30.0)
    assert Attempt(2, is_news=True) == story.failed("scheduler", LOCKED, 0.5)
    assert story.failed("scheduler", AWAY, 0.6) is None


def test_it_is_over_when_all_run() -> None:
    """The end comes with the last part that was passed over, and the next story begins anew."""
    story = Story()
    story.failed("session", AWAY, 0.0)
    story.failed("scheduler", AWAY, 0.1)
    assert story.recovered("session", 3.0) is None
    assert story.recovered("handler", 3.5) is None, "it had no trouble"
    assert End(4.0, 1, was_outage=True) == story.recovered("scheduler", 4.0)
    assert story.recovered("scheduler", 4.1) is None
    later = 4.0 + MEMORY
    assert Attempt(1, is_news=True) == story.failed("scheduler", AWAY, later)
    assert End(1.0, 1, was_outage=True) == story.recovered("scheduler", later + 1.0)


def test_what_comes_back_soon_is_the_same_story() -> None:
    """A part that runs for a moment between two failures makes no news of the second."""
    story = Story()
    assert Attempt(1, is_news=True) == story.failed("handler", BUG, 0.0)
    assert End(1.0, 1, was_outage=False) == story.recovered("handler", 1.0)
    assert Attempt(2, is_news=False) == story.failed("handler", BUG, 1.0 + MEMORY / 2)
    assert End(1.0, 1, was_outage=False) == story.recovered("handler", 2.0 + MEMORY / 2)


def test_who_gave_up_is_waited_for_no_more() -> None:
    """The end comes with the last of the others; if there is none, nothing is said."""
    story = Story()
    story.failed("writer", AWAY, 0.0)
    story.failed("listener", AWAY, 0.1)
    story.left("writer")
    assert story.recovered("writer", 1.0) is None
    assert End(2.0, 1, was_outage=True) == story.recovered("listener", 2.0)


def test_a_story_with_a_bug_in_it_is_not_about_the_database() -> None:
    """The end says so; the next story is judged by itself."""
    story = Story()
    story.failed("session", AWAY, 0.0)
    story.failed("session", BUG, 1.0)
    assert End(2.0, 2, was_outage=False) == story.recovered("session", 2.0)
    story.failed("session", AWAY, 2.0 + MEMORY)
    assert End(1.0, 1, was_outage=True) == story.recovered("session", 3.0 + MEMORY)


ADDRESS = DatabaseAddress("db", "5432", "ann", "shop")
REFUSED = DatabaseRefused(ADDRESS, "FATAL: password authentication failed", "check the password")


def wrapped(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "is_outage", "text"),
    [
        (
            wrapped(REFUSED, psycopg.OperationalError("libpq's")),
            True,
            (
                "the server refused the connection: FATAL: password authentication failed (database 'shop' on"
                " db, port 5432, as user 'ann'); remedy: check the password"
            ),
        ),
        (SchemaError("no table:\n  restore it"), True, "no table: restore it"),
        (
            psycopg.OperationalError("server closed\n\tThis probably means\n\tit fell"),
            True,
            "OperationalError: server closed This probably means it fell",
        ),
        (
            psycopg.errors.ReadOnlySqlTransaction("it is a standby"),
            True,
            "ReadOnlySqlTransaction: it is a standby",
        ),
        (OSError("no route"), True, "OSError: no route"),
        (
            trio.TooSlowError(),
            True,
            (
                "the database did not answer in time: it is away or slow, or somebody holds a lock"
                " (Settings.command_deadline)"
            ),
        ),
        (ExceptionGroup("", [ExceptionGroup("", [OSError("a")]), OSError("a")]), True, "OSError: a"),
        (ExceptionGroup("", [OSError("a"), KeyError("b")]), False, "OSError: a; KeyError: 'b'"),
        (KeyError("x"), False, "KeyError: 'x'"),
        (psycopg.errors.UndefinedFunction("no f()"), False, "UndefinedFunction: no f()"),
        (wrapped(SchemaError("odd"), KeyError("x")), False, "odd"),
    ],
)
def test_whose_fault_and_the_whole_reason_in_one_line(error: Exception, is_outage: bool, text: str) -> None:
    """An error of ours, of the link, of the server or of the system is an outage; others may be bugs."""
    trouble = trouble_of(error)
    assert (is_outage, text) == (trouble.is_outage, trouble.text)


def test_numbers_make_no_other_reason() -> None:
    """Who holds the connections, and for how long, is told, and does not make it news."""
    one, other = (trouble_of(PoolExhausted(4, seconds, ())) for seconds in (5.0, 6.5))
    assert one.kind == other.kind
    assert "within 6.5 s" in other.text


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, bool]]:
    return [(each.levelname, each.getMessage(), bool(each.exc_info)) for each in caplog.records]


async def test_a_tree_tells_one_story(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Two supervisors fail for one reason: a line for each attempt of the first, and one at the end."""
    back = trio.Event()

    async def part(task_status: trio.TaskStatus[None]) -> None:
        if not back.is_set():
            raise OSError("no route\nto host")
        task_status.started()
        await trio.sleep_forever()

    outages = Outages()
    backoff = Backoff(first=1.0, jitter=0)
    spec = Supervisor(
        "bank",
        tuple(
            Supervisor(name, (Child("child", part, teller=outages),), max_restarts=None, backoff=backoff)
            for name in ("session", "schedules")
        ),
    )
    caplog.set_level(logging.INFO, "rolebook.supervision")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run, spec)
        await trio.sleep(6.5)
        back.set()
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    said = "bank/session/child failed, attempt {}: OSError: no route to host; trying again in {}.0 s"
    assert lines(caplog) == [
        ("ERROR", said.format(1, 1), False),
        ("WARNING", said.format(2, 2), False),
        ("WARNING", said.format(3, 4), False),
        ("WARNING", "the database is back after 7.0 s, 3 attempts", False),
    ]


async def _run(spec: Supervisor) -> None:
    async with open_supervisor(spec):
        await trio.sleep_forever()


async def test_a_bug_has_its_traceback_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The first of a kind comes with its traceback, the same again is a line."""
    left = 3

    async def part(task_status: trio.TaskStatus[None]) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise KeyError("x")
        task_status.started()
        await trio.sleep_forever()

    child = Child("child", part, teller=Outages())
    caplog.set_level(logging.INFO, "rolebook.supervision")
    backoff = Backoff(first=1.0, jitter=0)
    async with open_supervisor(Supervisor("s", (child,), max_restarts=None, backoff=backoff)):
        pass  # entered once the child is ready
    assert lines(caplog) == [
        ("ERROR", "s/child failed, attempt 1: KeyError: 'x'; trying again in 1.0 s", True),
        ("WARNING", "s/child failed, attempt 2: KeyError: 'x'; trying again in 2.0 s", False),
        ("WARNING", "s/child failed, attempt 3: KeyError: 'x'; trying again in 4.0 s", False),
        ("WARNING", "all parts run again after 7.0 s, 3 attempts", False),
    ]
