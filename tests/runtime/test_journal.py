"""The journal as the actors' only truth: recovery, snapshots, passivation, and streams that are broken."""

from typing import LiteralString

import pytest

import rolebook as rb
from rolebook.runtime import Runtime
from tests.runtime.apps import Account, Deposit, Note, diary
from tests.runtime.looking import Looking


async def deposit_ten_times(runtime: Runtime, key: str) -> None:
    for _ in range(10):
        await runtime.tell(Account, key, Deposit(1))
    await runtime.wait_idle()


async def test_an_actor_is_rebuilt_from_its_journal(database_url: str) -> None:
    """The next process goes on where the last one stopped, with state and sequence from the journal."""
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await deposit_ten_times(runtime, "a")
    async with rb.open_runtime(app, database=database_url) as runtime:
        assert await runtime.ask(Account, "a", Deposit(5)) == 15
        recorded = [each async for each in runtime.events(Account, "a")]
    assert [each.seq for each in recorded] == list(range(1, 12))


async def test_events_are_read_after_a_number(database_url: str) -> None:
    """`events` starts after a sequence number, and an actor nobody told anything has none."""
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await deposit_ten_times(runtime, "a")
        assert [each.seq async for each in runtime.events(Account, "a", after=7)] == [8, 9, 10]
        assert [each async for each in runtime.events("account", "nobody")] == []
        assert (await runtime.read(Account, "nobody")).balance == 0


async def test_what_is_read_is_the_readers_own(database_url: str) -> None:
    """Changing what `read` returned changes nothing."""
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.ask(Account, "a", Deposit(1))
        (await runtime.read(Account, "a")).balance = 1000
        assert await runtime.ask(Account, "a", Deposit(1)) == 2


async def test_the_journal_refuses_changes(database_url: str, looking: Looking) -> None:
    """Events are neither changed nor deleted, by nobody."""
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.ask(Account, "a", Deposit(1))
    for change in ("update rolebook.events set seq = 2", "delete from rolebook.events"):
        with pytest.raises(Exception, match="append-only"):
            await looking.do(change)


async def test_snapshots_are_stored_kept_and_used(database_url: str, looking: Looking) -> None:
    """A snapshot is stored every so many events, the newest are kept, and recovery starts from one."""
    kind = diary(snapshot_every=4, snapshot_keep=2)
    async with rb.open_runtime(rb.App("app", actors=[kind]), database=database_url) as runtime:
        for number in range(18):
            await runtime.tell("diary", "a", Note(number))
            await runtime.wait_idle()
        rows = await looking.rows("select seq from rolebook.snapshots order by seq")
        assert rows == [(12,), (16,)]
    await looking.do(
        "update rolebook.snapshots set state = json_build_object('shape', state -> 'shape', 'state',"
        " json_build_object('numbers', array[99])) where seq = 16"
    )
    async with rb.open_runtime(rb.App("app", actors=[kind]), database=database_url) as runtime:
        assert (await runtime.read(kind, "a")).numbers == [99, 16, 17]  # so it was used


@pytest.mark.parametrize(
    "spoil",
    [
        'update rolebook.snapshots set state = \'{"numbers": "x"}\'',
        "update rolebook.snapshots set state = '3'",
        "update rolebook.snapshots set state_version = 9",
        "update rolebook.snapshots set seq = 1000",
    ],
)
async def test_a_bad_snapshot_costs_only_time(
    database_url: str, looking: Looking, spoil: LiteralString
) -> None:
    """A snapshot that does not fit is passed over: the state is what the journal says."""
    kind = diary(snapshot_every=3)
    async with rb.open_runtime(rb.App("app", actors=[kind]), database=database_url) as runtime:
        for number in range(5):
            await runtime.ask("diary", "a", Note(number))
    await looking.do(spoil)
    async with rb.open_runtime(rb.App("app", actors=[kind]), database=database_url) as runtime:
        assert (await runtime.read(kind, "a")).numbers == [0, 1, 2, 3, 4]
        assert await runtime.ask("diary", "a", Note(5)) == 6


async def test_actors_leave_memory_by_number(database_url: str) -> None:
    """No more actors stay in memory than the settings say, and one that left comes back as it was."""
    settings = rb.Settings(residents=5, mailbox_capacity=20)
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
        for _ in range(2):
            await runtime.send(*(rb.Tell(Account, f"k{n}", Deposit(1)) for n in range(100)))
            await runtime.wait_idle()
        assert await runtime.ask(Account, "k0", Deposit(1)) == 3
        assert runtime.statistics().actors["account"].residents <= 6
        for n in range(1, 100):
            assert (await runtime.read(Account, f"k{n}")).balance == 2


async def test_a_hole_in_the_journal_breaks_one_actor(database_url: str, looking: Looking) -> None:
    """An actor whose journal lacks an event is broken, with a reason that names it; nothing of it is lost."""
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await deposit_ten_times(runtime, "a")
    await looking.do("alter table rolebook.events disable trigger append_only")
    await looking.do("delete from rolebook.events where seq = 4")
    await looking.do("alter table rolebook.events enable trigger append_only")
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell(Account, "a", Deposit(1))
        assert await runtime.ask(Account, "b", Deposit(7)) == 7
        with pytest.raises(rb.RolebookError, match=r"account/a is broken.* no event 4"):
            await runtime.ask(Account, "a", Deposit(1))
        with pytest.raises(rb.RolebookError, match="no event 4"):
            await runtime.read(Account, "a")
        await looking.until("select count(*) = 1 from rolebook.events where key = 'b'")
        assert await looking.mailbox("account") == 1
        assert await runtime.dead_letters() == []


async def test_a_last_event_that_is_missing_is_not_noticed_as_a_hole(
    database_url: str, looking: Looking
) -> None:
    """The journal's newest event is the newest there is: what was cut off at the end cannot be known."""
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await deposit_ten_times(runtime, "a")
    await looking.do("alter table rolebook.events disable trigger append_only")
    await looking.do("delete from rolebook.events where seq = 10")
    await looking.do("alter table rolebook.events enable trigger append_only")
    async with rb.open_runtime(app, database=database_url) as runtime:
        assert await runtime.ask(Account, "a", Deposit(1)) == 10


@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("account.deposited", '{"amount": "many"}', "account.deposited"),
        ("account.exploded", "{}", "account.exploded"),
        ("diary.noted", '{"number": 1, "attempt": 1}', "Noted"),
    ],
)
async def test_an_event_that_cannot_be_replayed_breaks_one_actor(
    database_url: str, looking: Looking, name: str, payload: str, said: str
) -> None:
    """An event that does not decode, is unknown, or has no applier, breaks its actor and names itself."""
    app = rb.App("bank", actors=[Account, diary()])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await deposit_ten_times(runtime, "a")
    await looking.do(
        "insert into rolebook.events (actor, key, seq, type, version, payload)"
        " values ('account', 'a', 11, %s, 1, %s::json)",
        name,
        payload,
    )
    async with rb.open_runtime(app, database=database_url) as runtime:
        with pytest.raises(rb.RolebookError, match="account/a is broken") as caught:
            await runtime.ask(Account, "a", Deposit(1))
        assert said in str(caught.value)
        assert await runtime.ask(Account, "b", Deposit(7)) == 7
        assert await runtime.ask("diary", "a", Note(7)) == 1
        if name != "diary.noted":  # that one can be read, and is not an account's
            with pytest.raises(rb.RolebookError, match="event 11 of account/a"):
                [each async for each in runtime.events(Account, "a")]


async def test_an_ask_from_elsewhere_to_a_broken_actor_is_answered(
    database_url: str, looking: Looking
) -> None:
    """Who asks a broken actor of another process is told so, as in one process."""
    app = rb.App("bank", actors=[Account])
    await _break_an_actor(app, database_url, looking)
    async with rb.open_runtime(app, database=database_url):
        await looking.owned()
        async with rb.open_runtime(app, database=database_url) as other:
            with pytest.raises(rb.RolebookError, match="broken"):
                await other.ask(Account, "a", Deposit(1))


async def _break_an_actor(app: rb.App, url: str, looking: Looking) -> None:
    async with rb.open_runtime(app, database=url) as runtime:
        await runtime.ask(Account, "a", Deposit(1))
    await looking.do(
        "insert into rolebook.events (actor, key, seq, type, version, payload)"
        " values ('account', 'a', 3, 'account.deposited', 1, '{\"amount\": 1}')"
    )
