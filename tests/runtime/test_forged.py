"""Headers that are the runtime's own, forged by a sender in SQL, or copied from another message."""

import pytest
import trio

import rolebook as rb
from tests.runtime.apps import Account, Deposit
from tests.runtime.looking import Looking

TELL = "select rolebook.tell('account', 'a', 'account.deposit', %s::json, headers => %s::json)"


async def test_two_asks_of_one_id_are_both_handled(database_url: str, looking: Looking) -> None:
    """The first reply counts; the second message is handled all the same, and holds up nobody."""
    app = rb.App("app", actors=[Account])
    headers = '{"ask": "copied", "asker": "somebody"}'
    async with rb.open_runtime(app, database=database_url) as runtime:
        with trio.fail_after(60):
            for amount in ("1", "2", "-1"):
                await looking.do(TELL, f'{{"amount": {amount}}}', headers)
            await runtime.wait_idle()
            assert await runtime.ask(Account, "a", Deposit(4)) == 7
    assert (
        await looking.value("select outcome::text from rolebook.outcomes where id = 'copied'")
        == '{"reply":1}'
    )


@pytest.mark.parametrize("asker", ["x" * 9000, "a\\u0000b", "\\u00e9"])
async def test_an_asker_that_cannot_be_told_is_none(database_url: str, looking: Looking, asker: str) -> None:
    """The message is handled as one that nobody waits for."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        with trio.fail_after(60):
            await looking.do(TELL, '{"amount": 1}', f'{{"ask": "{asker}", "asker": "{asker}"}}')
            await runtime.wait_idle()
            assert (await runtime.read(Account, "a")).balance == 1
    assert await looking.value("select count(*) from rolebook.outcomes") == 0
