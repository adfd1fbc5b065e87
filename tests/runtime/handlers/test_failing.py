"""What becomes of a message whose turn fails, and of those behind it."""

import sys
from typing import Any

import pytest
import trio
from attrs import define

import rolebook as rb
from rolebook.actors import RolebookError
from tests.runtime.apps import QUICK, SLOW, Account, Broken, Deposit, Note, diary
from tests.runtime.looking import Looking


async def test_a_failing_turn_is_tried_again(database_url: str, looking: Looking) -> None:
    """A turn that raises is void, and the message is tried again until it succeeds."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell("diary", "a", Note(7, failures=2, spoil=True))
        await looking.until("select count(*) = 1 from rolebook.events")
        await runtime.wait_idle()
        (recorded,) = [each async for each in runtime.events("diary", "a")]
    assert recorded.event.attempt == 3
    assert recorded.seq == 1


async def test_after_the_last_attempt_a_message_is_a_dead_letter(database_url: str, looking: Looking) -> None:
    """The dead letter is the message as it was sent, with the error and the number of attempts."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url) as runtime:
        raw = '{"number":  7, "failures": 9}'
        await looking.do("select rolebook.tell('diary', 'a', 'diary.note', %s::json)", raw)
        await looking.until("select count(*) = 1 from rolebook.dead_letters")
        (letter,) = await runtime.dead_letters()
        await runtime.wait_idle()
    assert ("diary", "a", "diary.note", raw, 3) == (
        letter.queue,
        letter.key,
        letter.type,
        letter.payload,
        letter.attempts,
    )
    assert letter.error.startswith("Broken: note 7, attempt 3")
    assert "apps.py" in letter.error
    assert await looking.journal("diary", "a") == []


async def test_a_turn_that_exits_fails_and_ends_nothing_else(database_url: str, looking: Looking) -> None:
    """`sys.exit` in a decider or a handler is a failure of its turn: the runtime works on."""
    app = rb.App("app", actors=[exiting()])

    @app.handler("mail", retry=QUICK)
    async def mail(command: Note) -> None:  # pyright: ignore[reportUnusedFunction] - registered
        sys.exit(3)

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell("exiting", "a", Note(1, failures=1))
        await runtime.enqueue("mail", Note(1))
        await looking.until("select count(*) = 2 from rolebook.dead_letters")
        letters = await runtime.dead_letters()
        with pytest.raises(RolebookError, match=r"sys\.exit\(3\)"):
            await runtime.ask("exiting", "a", Note(1, failures=1))
        assert await runtime.ask("exiting", "b", Note(1)) == 1
    assert all(letter.error.startswith("BaseExceptionRaised: ") for letter in letters)


def exiting() -> type[Any]:
    """Make a kind of actor that ends the process if it is told to."""

    @rb.actor("exiting", retry=QUICK)
    @define
    class Exiting:
        @rb.decide
        def note(self, command: Note) -> int:
            if command.failures:
                sys.exit(3)
            return command.number

    return Exiting


async def test_attempts_and_the_last_error_are_stored(database_url: str, looking: Looking) -> None:
    """Between attempts the message's row says how often it was tried, why it failed, and when it is due."""
    app = rb.App("app", actors=[diary(retry=SLOW)])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell("diary", "a", Note(7, failures=1))
        await looking.until("select attempts = 1 from rolebook.messages")
        ((error, wait),) = await looking.rows(
            "select last_error, extract(epoch from not_before - clock_timestamp())::float8"
            " from rolebook.messages"
        )
        await runtime.wait_idle()
    assert error.startswith("Broken: note 7, attempt 1")
    assert 590 < wait <= 600


async def test_block_lets_later_messages_of_the_key_wait(database_url: str, looking: Looking) -> None:
    """With on_failure="block" a failing message holds up its key, in order, and no other key."""
    app = rb.App("app", actors=[diary(retry=SLOW)])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell("diary", "a", Note(1))
        await runtime.tell("diary", "a", Note(2, failures=1))
        await runtime.tell("diary", "a", Note(3))
        await looking.until("select sum(attempts) = 1 from rolebook.messages")
        await runtime.tell("diary", "b", Note(9))
        await looking.until("select count(*) = 1 from rolebook.events where key = 'b'")
        assert await looking.journal("diary", "a") == [1]
        assert await looking.mailbox("diary") == 2


async def test_a_blocked_key_goes_on_in_order(database_url: str, looking: Looking) -> None:
    """When the retry succeeds, those who waited behind it follow in the order they were sent."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url) as runtime:
        for number in range(10):
            await runtime.tell("diary", "a", Note(number, failures=2 if number in (0, 5) else 0))
        await looking.until("select count(*) = 10 from rolebook.events")
    assert list(range(10)) == await looking.journal("diary", "a")


async def test_a_dead_letter_lets_its_key_go_on(database_url: str, looking: Looking) -> None:
    """Once the failing message is given up, the next ones of its key are handled."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell("diary", "a", Note(1, failures=9))
        await runtime.tell("diary", "a", Note(2))
        await looking.until("select count(*) = 1 from rolebook.events")
        assert len(await runtime.dead_letters("diary")) == 1
    assert await looking.journal("diary", "a") == [2]


async def test_skip_lets_later_messages_pass(database_url: str, looking: Looking) -> None:
    """With on_failure="skip" a failing message comes back later, behind the others of its key."""
    app = rb.App("app", actors=[diary(on_failure="skip")])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.send(rb.Tell("diary", "a", Note(1, failures=2)), rb.Tell("diary", "a", Note(2)))
        await looking.until("select count(*) = 2 from rolebook.events")
        last = [each async for each in runtime.events("diary", "a")][-1]
    assert await looking.journal("diary", "a") == [2, 1]
    assert last.event.attempt == 3


async def test_park_stops_the_key(database_url: str, looking: Looking) -> None:
    """With on_failure="park" a key stops at its failing message; others go on; nothing is lost."""
    app = rb.App("app", actors=[diary(on_failure="park")])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell("diary", "a", Note(1, failures=1))
        await runtime.tell("diary", "a", Note(2))
        await runtime.tell("diary", "b", Note(3))
        await looking.until("select bool_or(not_before = 'infinity') from rolebook.messages")
        await looking.until("select count(*) = 1 from rolebook.events where key = 'b'")
    assert await looking.journal("diary", "a") == []
    assert await looking.mailbox("diary") == 2


async def test_a_refused_message_is_acknowledged(database_url: str, looking: Looking) -> None:
    """A decider that raises Rejected voids its turn; the message is done with, and nothing is retried."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell(Account, "a", Deposit(-1))
        await runtime.tell(Account, "a", Deposit(1))
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 1
        assert await runtime.dead_letters() == []
    assert await looking.mailbox("account") == 0


async def test_a_payload_that_does_not_decode_is_a_dead_letter_at_once(
    database_url: str, looking: Looking
) -> None:
    """What cannot be decoded is not retried; the dead letter names the command and what is wrong."""
    app = rb.App("app", actors=[Account, diary(retry=SLOW)])

    @app.handler("mail", retry=SLOW)
    async def mail(command: Note) -> None: ...

    payloads = ['{"amount": "many"}', '{"amount": 1.5}', "{}", '{"amount": 1, "x": 2}', "[]", "3"]
    async with rb.open_runtime(app, database=database_url) as runtime:
        for payload in payloads:
            await looking.do("select rolebook.tell('account', 'a', 'account.deposit', %s::json)", payload)
        await looking.do("select rolebook.enqueue('mail', 'diary.note', '{}')")
        await runtime.wait_idle()
        letters = await runtime.dead_letters("account")
        assert payloads == [letter.payload for letter in reversed(letters)]
        assert all("account.deposit" in letter.error for letter in letters)
        assert {1} == {letter.attempts for letter in letters}
        (letter,) = await runtime.dead_letters("mail")
        assert "diary.note" in letter.error
        assert "number" in letter.error
        assert await runtime.ask(Account, "a", Deposit(2)) == 2


async def test_an_unknown_command_is_a_dead_letter_at_once(database_url: str, looking: Looking) -> None:
    """A name that no class goes by is a dead letter that names it; so is a command of somebody else."""
    app = rb.App("app", actors=[Account, diary(retry=SLOW)])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await looking.do("select rolebook.tell('account', 'a', 'account.clsoe', '{}')")
        await looking.do("select rolebook.tell('account', 'a', 'diary.note', '{\"number\": 1}')")
        await runtime.wait_idle()
        foreign, unknown = await runtime.dead_letters()
    assert "account.clsoe" in unknown.error
    assert "account" in foreign.error
    assert "Note" in foreign.error


async def test_a_message_to_an_actor_without_a_key_is_a_dead_letter(
    database_url: str, looking: Looking
) -> None:
    """SQL can enqueue without a key; for an actor's queue that is a dead letter that says what is missing."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await looking.do("select rolebook.enqueue('account', 'account.deposit', '{\"amount\": 1}')")
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
    assert "no key" in letter.error
    assert letter.key is None


async def test_a_redriven_letter_is_tried_anew(database_url: str, looking: Looking) -> None:
    """`redrive` puts dead letters back with no attempts counted."""
    broken = True
    app = rb.App("app", actors=[Account])

    @app.handler("mail", retry=rb.Retry(attempts=1))
    async def mail(command: Note, turn: rb.Turn) -> None:
        if broken:
            raise Broken(f"attempt {turn.attempt}")
        turn.send(rb.Tell(Account, "a", Deposit(command.number)))

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.enqueue("mail", Note(1))
        await runtime.enqueue("mail", Note(2))
        await runtime.wait_idle()
        letters = await runtime.dead_letters("mail")
        assert [letter.error.partition("\n")[0] for letter in letters] == ["Broken: attempt 1"] * 2
        broken = False
        assert await runtime.redrive([letters[0].id]) == 1
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 2
        assert await runtime.redrive(queue="mail") == 1
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 3
        assert await runtime.dead_letters() == []


async def test_a_handler_that_always_raises_disturbs_nobody(database_url: str, looking: Looking) -> None:
    """Poison of one queue ends as dead letters; its other messages and other queues are handled."""
    done: list[int] = []
    app = rb.App("app", actors=[Account])

    @app.handler("mail", concurrency=2, retry=QUICK)
    async def mail(command: Note) -> None:
        if command.number % 2:
            raise Broken("odd")
        done.append(command.number)

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.send(*(rb.Enqueue("mail", Note(number)) for number in range(20)))
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
        await looking.until("select count(*) = 10 from rolebook.dead_letters")
        await runtime.wait_idle()
    assert list(range(0, 20, 2)) == sorted(done)


async def test_an_error_text_with_nul_is_stored(database_url: str, looking: Looking) -> None:
    """An error that PostgreSQL's text cannot hold as it is does not keep its message from being buried."""
    app = rb.App("app")

    @app.handler("mail", retry=rb.Retry(attempts=1))
    async def mail(command: Note) -> None:
        raise Broken("a\0b \ud800 " + "x" * 100_000)

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.enqueue("mail", Note(1))
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
    assert letter.error.startswith("Broken: a\\0b \\ud800 xxx")
    assert len(letter.error) < 5000


async def test_an_ask_is_not_retried(database_url: str, looking: Looking) -> None:
    """Who asks gets the decider's error at once, and the actor goes on with what was committed before."""
    app = rb.App("app", actors=[diary(retry=SLOW)])
    async with rb.open_runtime(app, database=database_url) as runtime:
        assert await runtime.ask("diary", "a", Note(1)) == 1
        with trio.fail_after(5):
            try:
                await runtime.ask("diary", "a", Note(2, failures=5, spoil=True))
            except rb.AskFailed as error:
                assert "note 2" in str(error)  # noqa: PT017 - raised outside of a `with` block on purpose
            else:
                raise AssertionError("no error")
        assert await runtime.ask("diary", "a", Note(3)) == 2
        assert await runtime.dead_letters() == []
    assert await looking.journal("diary", "a") == [1, 3]
