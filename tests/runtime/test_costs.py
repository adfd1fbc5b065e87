"""What messages cost the database: counted, not timed, so that a slow machine changes little.

The bounds are far above what is counted (a few commits for 1,000 messages) and far below what it would be if
one of them slipped back to a commit, a statement or an UPDATE for each message.
"""

import pytest

import rolebook as rb
from tests.runtime.apps import Account, Deposit
from tests.runtime.looking import Looking
from tests.waiting import eventually

COUNT = 1000
FEW = 300
"""Transactions for 1,000 messages: one for each, or one fetch for each, would be 1,000 and more."""


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """A database that no other test has used: what was counted in it counts."""
    return empty_database_url


def working_app() -> rb.App:
    """An app with an actor and a queue."""
    app = rb.App("app", actors=[Account])

    @app.handler("work")
    async def work(command: Deposit) -> None:
        pass

    return app


async def handle(url: str, effects: list[rb.Tell | rb.Enqueue]) -> int:
    """Send messages in one transaction and wait until they are handled; return the writer's commits."""
    async with rb.open_runtime(working_app(), database=url) as runtime:
        if effects:
            await runtime.send(*effects)

        async def handled() -> bool:
            return runtime.statistics().turns > len(effects)

        if effects:
            await eventually(handled)
        return runtime.statistics().commits


async def transactions(looking: Looking) -> int:
    """Return how many transactions all sessions that have ended made in this database."""
    await looking.nothing_left()
    await looking.counted()
    return int(
        await looking.value("select xact_commit from pg_stat_database where datname = current_database()")
    )


MESSAGES: dict[str, list[rb.Tell | rb.Enqueue]] = {
    "queue": [rb.Enqueue("work", Deposit(1)) for _ in range(COUNT)],
    "actors": [rb.Tell(Account, f"a{number % 100}", Deposit(1)) for number in range(COUNT)],
}


@pytest.mark.parametrize("kind", MESSAGES)
async def test_transactions_of_a_thousand_messages(database_url: str, looking: Looking, kind: str) -> None:
    """Fetching, handling and acknowledging are done in batches, each one transaction and one round trip."""
    await handle(database_url, [])
    start = await transactions(looking)
    await handle(database_url, [])
    idle = await transactions(looking) - start
    commits = await handle(database_url, MESSAGES[kind])
    busy = await transactions(looking) - start - idle
    assert commits < FEW
    assert busy - idle < FEW


@pytest.mark.parametrize("kind", MESSAGES)
async def test_rows_of_a_thousand_messages(database_url: str, looking: Looking, kind: str) -> None:
    """A message is one INSERT and one DELETE, never an UPDATE; an event is one INSERT."""
    await handle(database_url, MESSAGES[kind])
    await looking.nothing_left()
    await looking.counted()
    rows = await looking.rows(
        "select relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables"
        " where relname in ('messages', 'events') order by relname"
    )
    events = COUNT if kind == "actors" else 0
    assert [("events", events, 0, 0), ("messages", COUNT, 0, COUNT)] == rows
