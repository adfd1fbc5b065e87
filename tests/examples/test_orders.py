"""The example of orders: real processes, killed at random, and the books checked."""

import random

import psycopg
import pytest

from tests.programs import Ended, Signal, run, started, wait_until

ORDERS = 60
DEMO = ("examples.orders", "--orders", str(ORDERS))


def demo(url: str) -> Ended:
    return run(*DEMO, "--database-url", url)


def test_every_order_comes_to_an_end(database_url: str) -> None:
    """The table is shown, and money and pieces are accounted for; again, there is nothing left to do."""
    first = demo(database_url)
    assert (first.code, first.err) == (0, "")
    assert "delivered" in first.out
    assert "every penny and every piece of 60 orders is accounted for" in first.out
    again = demo(database_url)
    assert again.code == 0, again.text
    table, _, _ = first.out.partition("Checked")
    assert again.out.startswith(table)


def test_killed_at_random_it_goes_on_where_it_was(database_url: str) -> None:
    """SIGKILL in the middle, three times: every order comes to one end, and nothing is lost or done twice."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    codes: list[int] = []
    for point in sorted(dice.randrange(1, ORDERS * 7) for _ in range(3)):
        with started(*DEMO, "--database-url", database_url) as program:
            wait_until(database_url, f"select count(*) >= {point} from rolebook.events", program)
            program.send(Signal.SIGKILL)
            codes.append(program.wait().code)
    assert codes[0] == -Signal.SIGKILL, f"seed {seed}: it ended before it was killed"
    assert {*codes} <= {0, -Signal.SIGKILL}, f"seed {seed}"  # 0: it had just finished
    last = demo(database_url)
    assert last.code == 0, f"seed {seed}: {last.text}"


@pytest.mark.parametrize(
    ("event", "payload", "words"),
    [
        ("wallet.refunded", '{"order": "one/0001", "amount": 1}', "wrong: money"),
        ("order.called-off", '{"reason": "twice"}', "it came to 2 ends"),
    ],
)
def test_books_that_do_not_add_up_are_an_error(
    database_url: str, event: str, payload: str, words: str
) -> None:
    """A stray event in the journal is found by the check, named, and the program fails."""
    assert demo(database_url).code == 0
    actor, key = ("wallet", "one/customer-1") if event.startswith("wallet") else ("order", "one/0001")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into rolebook.events (actor, key, seq, type, version, payload)"
            " select actor, key, max(seq) + 1, %s, 1, %s from rolebook.events"
            " where actor = %s and key = %s group by actor, key",
            (event, payload, actor, key),
        )
    ended = demo(database_url)
    assert ended.code == 1
    assert words in ended.out
