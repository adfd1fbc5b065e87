"""What can be sent, and what a sender can rely on."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

import rolebook as rb
from rolebook.runtime.postgres import Connection
from tests.runtime.apps import Account, Deposit, Note, Pass, Transfer, diary
from tests.runtime.looking import Looking
from tests.runtime.postgres.cancelling import CancelAfter


async def test_told_commands_are_handled_in_order(database_url: str, looking: Looking) -> None:
    """What one sender tells one actor is handled in the order it was told, each once."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url) as runtime:
        for number in range(20):
            await runtime.tell("diary", "a", Note(number))
        await runtime.wait_idle()
        assert list(range(20)) == await looking.journal("diary", "a")
        assert await looking.mailbox("diary") == 0


async def test_send_is_all_or_nothing(database_url: str, looking: Looking) -> None:
    """Several messages sent together go in one transaction: a bad one takes the others with it."""
    app = rb.App("app", actors=[Account], limits=rb.Limits(payload=200))
    async with rb.open_runtime(app, database=database_url) as runtime:
        good = rb.Tell(Account, "a", Deposit(1))
        with pytest.raises(rb.PayloadTooLarge):
            await runtime.send(good, rb.Tell(Account, "b", Transfer("x" * 300, 1)))
        await runtime.send(good, rb.Tell(Account, "b", Deposit(2)))
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 1
        assert (await runtime.read(Account, "b")).balance == 2


async def test_a_transfer_moves_money_once(database_url: str) -> None:
    """What an actor yields and what it tells another commit together."""
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        assert await runtime.ask(Account, "a", Deposit(100)) == 100
        assert await runtime.ask(Account, "a", Transfer("b", 30)) == 70
        await runtime.wait_idle()
        assert (await runtime.read(Account, "b")).balance == 30


async def test_a_send_in_the_callers_transaction_commits_with_it(database_url: str, looking: Looking) -> None:
    """With `connection=` a message exists when the caller's transaction commits, and not before."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        connection = await Connection.connect(database_url)
        async with connection:
            await runtime.tell(Account, "a", Deposit(1), connection=connection)
            await runtime.tell(Account, "a", Deposit(2), delay=0.01, connection=connection)
            assert await looking.mailbox("account") == 0
            await connection.commit()
        await looking.until("select count(*) = 2 from rolebook.events")
        assert (await runtime.read(Account, "a")).balance == 3


async def test_a_send_in_the_callers_transaction_falls_with_it(database_url: str, looking: Looking) -> None:
    """With `connection=` nothing was sent if the caller rolls back."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        connection = await Connection.connect(database_url)
        async with connection:
            await runtime.tell(Account, "a", Deposit(1), connection=connection)
            await connection.rollback()
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
        assert await looking.mailbox("account") == 0


async def test_a_connection_that_cannot_be_awaited_is_refused(database_url: str, looking: Looking) -> None:
    """A synchronous connection is an error that says what else there is, before anything is sent on it."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        with psycopg.connect(database_url) as connection:
            with pytest.raises(TypeError, match=r"not Connection; .*select rolebook\.tell"):
                await runtime.tell(Account, "a", Deposit(1), connection=connection)
            connection.commit()
        assert await looking.mailbox("account") == 0
        assert await runtime.ask(Account, "a", Deposit(1)) == 1


async def test_delay_and_at(database_url: str, looking: Looking) -> None:
    """A delayed message is handled when it is due and not before; a moment in the past is now."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url) as runtime:
        now = await looking.value("select clock_timestamp()")
        await runtime.tell("diary", "a", Note(1), delay=0.3)
        await runtime.tell("diary", "b", Note(2), at=now + timedelta(seconds=0.2))
        await runtime.tell("diary", "c", Note(3), at=datetime(2000, 1, 1, tzinfo=UTC))
        await runtime.tell("diary", "d", Note(4), delay=timedelta(hours=1))
        await looking.until("select count(*) = 3 from rolebook.events")
        late = await looking.rows(
            "select key, extract(epoch from recorded_at - %s::timestamptz)::float8"
            " from rolebook.events order by 1",
            now,
        )
        assert [(key, passed >= {"a": 0.3, "b": 0.2, "c": 0}[key]) for key, passed in late] == [
            ("a", True),
            ("b", True),
            ("c", True),
        ]
        assert all(passed < 2 for _, passed in late)
        await runtime.wait_idle()
        assert await looking.value("select count(*) from rolebook.scheduled") == 1


async def test_urgent_messages_go_first(database_url: str, looking: Looking) -> None:
    """Of a backlog the urgent messages are handled first; those of one priority keep their order."""
    app = rb.App("app", actors=[diary()])
    effects = [rb.Tell("diary", "a", Note(n), priority=p) for n, p in enumerate([0, -1, 1, 0, -1, 1])]
    async with rb.open_runtime(rb.App("other", actors=[Account]), database=database_url) as sender:
        await sender.send(*effects)
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.wait_idle()
    assert await looking.journal("diary", "a") == [2, 5, 0, 3, 1, 4]


async def test_causes_are_recorded(database_url: str) -> None:
    """An event names its message; the correlation id is the first message's, however long the trail."""
    app = rb.App("bank", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.ask(Account, "a", Deposit(5))
        await runtime.tell(Account, "a", Transfer("b", 5), headers={"who": "me"})
        await runtime.wait_idle()
        _, withdrawn = [each async for each in runtime.events(Account, "a")]
        (deposited,) = [each async for each in runtime.events(Account, "b")]
        first = withdrawn.metadata["message"]
        assert first == withdrawn.metadata["correlation"]
        assert first == deposited.metadata["correlation"]
        assert first != deposited.metadata["message"]


async def test_headers_travel(database_url: str) -> None:
    """A handler sees the headers of its message, and what caused it; a follow-up has a trail of its own."""
    seen: dict[int, dict[str, str]] = {}
    app = rb.App("app", actors=[diary()])

    @app.handler("mail")
    async def mail(command: Note, turn: rb.Turn) -> None:
        seen[command.number] = dict(turn.headers)
        if command.number < 2:
            turn.send(rb.Enqueue("mail", Note(command.number + 1), headers={"hop": "yes"}))

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.enqueue("mail", Note(0), headers={"who": "me"})
        await runtime.wait_idle()
    assert seen[0] == {"who": "me"}
    assert seen[1]["hop"] == "yes"
    assert seen[1]["correlation"] == seen[1]["causation"]
    assert seen[2]["correlation"] == seen[1]["correlation"]
    assert seen[2]["correlation"] != seen[2]["causation"]


async def test_a_message_for_nobody_stays_where_it_is(
    database_url: str, looking: Looking, caplog: pytest.LogCaptureFixture
) -> None:
    """A message to an actor or queue that no process runs waits in the mailbox; that is said once."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell("elsewhere", "a", Deposit(1))
        await runtime.enqueue("nowhere", Deposit(2))
        assert await runtime.ask(Account, "a", Deposit(3)) == 3
        await runtime.wait_idle()
    said = [record.message for record in caplog.records if "no process has ever run" in record.message]
    assert ["'elsewhere'" in said[0], "'nowhere'" in said[1], len(said)] == [True, True, 2]
    assert await looking.mailbox("elsewhere") == 1
    assert await looking.mailbox("nowhere") == 1
    assert await looking.value("select count(*) from rolebook.dead_letters") == 0


async def test_ten_megabytes_are_refused(database_url: str, looking: Looking) -> None:
    """A payload over the limit is refused by name and size, to whoever sends it; nothing is stored."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        huge = Transfer("x" * 10_000_000, 1)
        with pytest.raises(rb.PayloadTooLarge, match=r"account\.transfer.*10,000,0.*1,048,576"):
            await runtime.tell(Account, "a", huge)
        with pytest.raises(rb.PayloadTooLarge):
            await runtime.enqueue("mail", huge)
    assert await looking.value("select count(*) from rolebook.messages") == 0


async def test_a_decider_that_sends_too_much_makes_a_dead_letter(database_url: str, looking: Looking) -> None:
    """An actor that yields an effect over the limit fails for good, with the size in the dead letter."""
    app = rb.App("app", actors=[diary()], limits=rb.Limits(payload=120))
    async with rb.open_runtime(app, database=database_url) as runtime:
        # What it is told is small enough, and what it sends on, with its defaults written out, is not.
        await runtime.tell("diary", "a", Pass("mail", 10**85))
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
        assert letter.attempts == 1
        assert letter.error.startswith("PayloadTooLarge: 'diary.note' is 124 bytes, over the limit of 120")
        assert await looking.mailbox("mail") == 0


@pytest.mark.parametrize("key", ["", "a\0b", "x" * 513, "\ud800"])
async def test_a_key_that_cannot_be_stored_is_refused(database_url: str, key: str) -> None:
    """A key that is empty, too long, has a NUL or half a character, is refused before anything is stored."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        with pytest.raises(rb.InvalidKey):
            await runtime.tell(Account, key, Deposit(1))
        with pytest.raises(rb.InvalidKey):
            await runtime.ask(Account, key, Deposit(1))
        with pytest.raises(rb.InvalidKey):
            await runtime.read(Account, key)


@pytest.mark.parametrize(
    "key", ["'; drop schema rolebook; --", '"', "\\", "{a,b}", "ä€𝄞", " ", "x" * 512, "NULL"]
)
async def test_an_odd_key_is_a_key(database_url: str, key: str) -> None:
    """Any other text is a key like any other, whatever it would mean in SQL."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell(Account, key, Deposit(1))
        assert await runtime.ask(Account, key, Deposit(2)) == 3
        assert [each.event.amount async for each in runtime.events(Account, key)] == [1, 2]


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a b", "", "x" * 64, "ä"])
async def test_a_name_that_is_no_name_is_refused(database_url: str, name: str) -> None:
    """Names of queues are checked where they are given: quotes and over 63 bytes are refused."""
    with pytest.raises(rb.DefinitionError, match=r"no name|too long"):
        rb.App("app", actors=[diary(name)])
    async with rb.open_runtime(rb.App("app", actors=[Account]), database=database_url) as runtime:
        with pytest.raises(rb.DefinitionError, match=r"no name|too long"):
            await runtime.enqueue(name, Deposit(1))
        with pytest.raises(rb.DefinitionError, match=r"no name|too long"):
            await runtime.tell(name, "a", Deposit(1))


async def test_a_cancelled_send_has_happened_or_not(database_url: str, looking: Looking) -> None:
    """Cancelled at whichever await, a send is sent whole or not at all, and the runtime goes on."""
    app = rb.App("app", actors=[diary()])
    sure: set[int] = set()
    interrupter = CancelAfter(0)
    async with rb.open_runtime(app, database=database_url) as runtime:
        while interrupter.fired or interrupter.steps == 0:
            interrupter = CancelAfter(interrupter.steps + 1)
            number = interrupter.steps

            async def send(number: int = number) -> None:
                await runtime.send(*(rb.Tell("diary", key, Note(number)) for key in "ab"))
                sure.add(number)

            await interrupter.run(send)
        await runtime.tell("diary", "a", Note(0))
        await runtime.tell("diary", "b", Note(0))
        await runtime.wait_idle()
    journal = await looking.journal("diary", "a")
    assert journal == await looking.journal("diary", "b")
    assert journal == [*sorted(set(journal) - {0}), 0]
    assert sure == {interrupter.steps}
    assert sure <= set(journal) <= set(range(interrupter.steps + 1))
    assert await looking.mailbox("diary") == 0
