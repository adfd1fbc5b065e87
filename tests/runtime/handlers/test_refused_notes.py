"""What becomes of a message is refused by the database, again and again: it is tried again after pauses."""

from __future__ import annotations

from typing import Any, LiteralString

import pytest
import trio

import rolebook as rb
from tests.runtime.apps import QUICK, Account, Broken, Deposit, Note, diary
from tests.runtime.looking import Looking
from tests.waiting import WITHIN, eventually

ONCE = rb.Retry(attempts=1)
SETTINGS = rb.Settings(backoff=rb.Backoff(first=0.2, jitter=0))
PAUSES = 0.2 + 0.4
"""Before the third try and the fourth."""

FEW = 12
"""Statements that four tries take at most: what fails beside another is tried alone once more."""

LETTERS = "insert on rolebook.dead_letters"
RETRIES = "insert on rolebook.scheduled"
MARKS = "update on rolebook.messages"


def failing(retry: rb.Retry) -> tuple[rb.App, list[int]]:
    """An app whose queue fails for the number 0, and whose diary does as it is told."""
    app, begun = rb.App("app", actors=[Account, diary(retry=retry)]), list[int]()

    @app.handler("mail", retry=retry)
    async def mail(command: Note) -> None:
        begun.append(command.number)
        if command.number == 0 and begun.count(0) == 1:
            raise Broken("no")

    return app, begun


async def refuse(looking: Looking, event: LiteralString) -> None:
    """Refuse what is done to a table, and count how many times that was."""
    await looking.do("create sequence public.tries")
    await looking.do(
        "create function public.refuse() returns trigger language plpgsql as $$"
        " begin raise exception 'not here (%)', nextval('public.tries'); end $$"
    )
    await looking.do(f"create trigger refuse before {event} for each row execute function public.refuse()")


@pytest.mark.parametrize(
    ("event", "retry", "first"),
    [
        pytest.param(LETTERS, ONCE, rb.Enqueue("mail", Note(0)), id="a letter without a key"),
        pytest.param(LETTERS, ONCE, rb.Enqueue("mail", Note(0), key="k"), id="a letter with a key"),
        pytest.param(RETRIES, QUICK, rb.Enqueue("mail", Note(0)), id="a retry without a key"),
        pytest.param(LETTERS, ONCE, rb.Tell("diary", "k", Note(0, failures=1)), id="an actor's letter"),
        pytest.param(MARKS, QUICK, rb.Tell("diary", "k", Note(0, failures=1)), id="an actor's retry"),
    ],
)
async def test_it_is_tried_again_after_pauses(
    database_url: str,
    looking: Looking,
    caplog: pytest.LogCaptureFixture,
    *,
    event: LiteralString,
    retry: rb.Retry,
    first: Any,
) -> None:
    """The fourth try comes no sooner than two pauses have gone; others go on; in the end it is stored."""
    app, begun = failing(retry)
    async with rb.open_runtime(app, database=database_url, settings=SETTINGS) as runtime:
        await refuse(looking, event)
        with trio.fail_after(WITHIN):
            since = trio.current_time()
            await runtime.send(first)
            await looking.until("select is_called from public.tries")
            assert 1 == await runtime.ask(Account, "a", Deposit(1))
            await runtime.enqueue("mail", Note(1))
            await eventually(lambda: caplog.text.count("is refused, tried again in") == 3)
            assert trio.current_time() - since > PAUSES
            assert FEW > await looking.value("select last_value from public.tries")
            assert begun.count(0) <= 1  # what came out of it is stored anew; it is not done anew
            await looking.do("drop function public.refuse() cascade")
            await runtime.wait_idle()
        letters = await runtime.dead_letters()
        assert (event == LETTERS) == bool(letters)
        assert all("Broken" in letter.error for letter in letters)
    assert 1 in begun


async def test_a_message_without_a_key_stays_and_the_log_says_so(
    database_url: str, looking: Looking, caplog: pytest.LogCaptureFixture
) -> None:
    """A message to an actor that has no key cannot be buried: it is there at the next start."""
    app, _ = failing(ONCE)
    async with rb.open_runtime(app, database=database_url, settings=SETTINGS):
        await refuse(looking, LETTERS)
        await looking.do("select rolebook.enqueue('diary', 'diary.note', '{}')")
        await eventually(lambda: "stays in its mailbox" in caplog.text)
        await looking.do("drop function public.refuse() cascade")
    async with rb.open_runtime(app, database=database_url, settings=SETTINGS) as runtime:
        await runtime.wait_idle()
        assert 1 == len(await runtime.dead_letters())
