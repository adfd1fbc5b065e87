"""Every notification dropped: the mailbox is looked at anyway."""

import pytest
import trio

import rolebook as rb
from tests.chaos.books import Books
from tests.chaos.ledger import ledger, settings
from tests.chaos.scene import SECONDS, prepare, sending_by_sql, settle, worker
from tests.chaos.weakening import mute
from tests.runtime.looking import Looking

LATE = 3600.0
NO_POLLS = settings(
    poll_interval=LATE, idle_session_timeout=2 * LATE, health_interval=LATE, command_deadline=30
)


async def test_all_notifications_are_dropped(database_url: str, looking: Looking) -> None:
    """Without a single notification everything still happens once, across processes."""
    await prepare(looking)
    await mute(looking)
    books = Books()
    with worker(database_url, "first") as first, worker(database_url, "second") as second:
        for each in (first, second):
            await trio.to_thread.run_sync(each.wait_ready)
        async with sending_by_sql(database_url, books):
            await trio.sleep(SECONDS / 2)
        for each in (first, second):
            await trio.to_thread.run_sync(each.end)
    await settle(database_url, looking)
    assert books.accepted
    assert await books.violations(looking) == []


async def handle_one(url: str, looking: Looking, chosen: rb.Settings) -> None:
    """Let a sleeping runtime handle a message that was sent by SQL."""
    async with rb.open_runtime(ledger(), database=url, settings=chosen) as runtime:
        await looking.until("select bool_and(owner is not null) from rolebook.partitions")
        await runtime.wait_idle()
        # It is asleep when it has not asked for a while; what it was told to look for, it has looked for.
        await looking.until(
            "select state = 'idle' and clock_timestamp() - state_change > %s * interval '1 second'"
            " from pg_stat_activity where application_name like 'rolebook %% fetcher'"
            " and datname = current_database()",
            min(0.5, chosen.poll_interval / 2),
        )
        with trio.fail_after(3):
            await looking.do(
                "select rolebook.tell('account', 'a', 'ledger.credit', '{\"id\": \"x\", \"amount\": 1}')"
            )
            await looking.until("select exists (select from rolebook.events)")


async def test_a_message_nobody_announced(database_url: str, looking: Looking) -> None:
    """A message whose notification was lost waits no longer than `poll_interval`."""
    await prepare(looking)
    await mute(looking)
    await handle_one(database_url, looking, settings(poll_interval=0.3))


async def test_a_message_nobody_announced_control(database_url: str, looking: Looking) -> None:
    """Without notifications and without polling nobody comes."""
    await prepare(looking)
    await mute(looking)
    with pytest.raises(trio.TooSlowError):
        await handle_one(database_url, looking, NO_POLLS)


async def test_a_message_that_was_announced(database_url: str, looking: Looking) -> None:
    """With notifications a message needs no poll at all."""
    await prepare(looking)
    await handle_one(database_url, looking, NO_POLLS)
