"""Poison: messages that fail each time, cannot be read, or meet a broken journal. Everybody else works on."""

import pytest
import trio

import rolebook as rb
from tests.chaos.scene import prepare
from tests.chaos.weakening import crowd
from tests.runtime.apps import SLOW, Note, diary
from tests.runtime.looking import Looking

SETTINGS = rb.Settings(mailbox_capacity=40, blocked_capacity=4, batch=10)
POISONED = 10
"""Actors with poison at their head."""
BEHIND = 30
"""Messages behind each: all of them together are far more than the mailbox takes."""
HEALTHY = 20


async def feed_poison(url: str, looking: Looking, within: float) -> bool:
    """Say whether actors that nothing is wrong with are reached within some seconds, through the poison."""
    app = rb.App("app", actors=[diary(retry=SLOW)])
    await looking.do(
        "insert into rolebook.events (actor, key, seq, type, version, payload)"
        " select 'diary', 'broken' || n, 2, 'diary.noted', 1, '{}' from generate_series(1, 10) n"
    )
    async with rb.open_runtime(app, database=url, settings=SETTINGS) as runtime:
        await looking.do(
            "select rolebook.tell('diary', 'broken' || n % 10 + 1, 'diary.note',"
            ' \'{"number": 1, "failures": 0, "spoil": false}\') from generate_series(1, 100) n'
        )
        await looking.do(
            "select rolebook.tell('diary', 'odd' || n, 'no.such.name', '[]') from generate_series(1, 50) n"
        )
        await runtime.send(
            *(
                rb.Tell("diary", f"bad{n % POISONED}", Note(n, failures=99, spoil=n % 2 == 1))
                for n in range(POISONED * BEHIND)
            )
        )
        await looking.until("select exists (select from rolebook.messages where attempts > 0)")
        await runtime.send(*(rb.Tell("diary", f"good{n}", Note(n)) for n in range(HEALTHY)))
        with trio.move_on_after(within) as patience:
            await looking.until("select count(*) = %s from rolebook.events where key like 'good%%'", HEALTHY)
    return not patience.cancelled_caught


async def test_poison_is_contained(database_url: str, looking: Looking) -> None:
    """However much poison there is, and whatever waits behind it, the others' messages are handled."""
    await prepare(looking)
    assert await feed_poison(database_url, looking, within=60)
    assert await looking.mailbox("diary") == POISONED * BEHIND + 100, "what is poisoned is still there"
    assert await looking.value("select count(*) from rolebook.dead_letters") == 50


async def test_poison_is_contained_control(
    database_url: str, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If what waits behind poison took up the room of the others, nobody would be reached."""
    await prepare(looking)
    crowd(monkeypatch)
    assert not await feed_poison(database_url, looking, within=2)
