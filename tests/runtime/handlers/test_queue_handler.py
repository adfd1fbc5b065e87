"""Handlers of queues: concurrency, order, and turns with a transaction of their own."""

from typing import Any, LiteralString

import pytest
import trio
from trio.testing import MockClock

import rolebook as rb
from rolebook.runtime import MemoryStore
from rolebook.runtime.contract import Committed
from tests.runtime.apps import QUICK, Account, Broken, Deposit, Note, diary
from tests.runtime.faults import FaultyStore, Hooks
from tests.runtime.looking import Looking

ONCE = rb.Retry(attempts=1)


async def test_messages_are_handled_concurrently_up_to_the_bound(database_url: str) -> None:
    """As many messages are in work at once as `concurrency` says, and no more."""
    running = most = 0
    full = trio.Event()
    app = rb.App("app")

    @app.handler("mail", concurrency=3)
    async def mail(command: Note) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await full.wait()
        await trio.lowlevel.checkpoint()
        running -= 1

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.send(*(rb.Enqueue("mail", Note(number)) for number in range(50)))
        await runtime.wait_idle()
    assert most == 3


async def test_messages_of_one_key_are_handled_in_order(database_url: str) -> None:
    """Messages of one key are handled one at a time, in order, while those of others go on."""
    seen: dict[str, list[int]] = {}
    busy: set[str] = set()
    app = rb.App("app")

    @app.handler("mail", concurrency=8)
    async def mail(command: Note, turn: rb.Turn) -> None:
        assert turn.key not in busy
        busy.add(turn.key)
        await trio.lowlevel.checkpoint()
        seen.setdefault(turn.key, []).append(command.number)
        busy.discard(turn.key)

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.send(*(rb.Enqueue("mail", Note(n), key=f"k{n % 5}") for n in range(100)))
        await runtime.wait_idle()
        assert await runtime.dead_letters() == []
    assert seen == {f"k{key}": list(range(key, 100, 5)) for key in range(5)}


async def test_a_slow_message_holds_up_its_key_only(database_url: str) -> None:
    """While one message of a key is in work, messages of other keys and without a key are handled."""
    release = trio.Event()
    done: list[int] = []
    app = rb.App("app")

    @app.handler("mail", concurrency=2)
    async def mail(command: Note) -> None:
        if command.number == 0:
            await release.wait()
        done.append(command.number)
        if len(done) == 20:
            release.set()

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.send(
            rb.Enqueue("mail", Note(0), key="slow"),
            rb.Enqueue("mail", Note(1), key="slow"),
            *(rb.Enqueue("mail", Note(n), key=None if n % 2 else "k") for n in range(2, 22)),
        )
        await runtime.wait_idle()
    assert done[20:] == [0, 1]


async def test_what_a_turn_sends_goes_with_its_commit(database_url: str, looking: Looking) -> None:
    """`turn.send` sends when the handler succeeded, and nothing when it raised."""
    app = rb.App("app", actors=[Account])

    @app.handler("mail", retry=rb.Retry(attempts=3, backoff=rb.Backoff(first=0.001)))
    async def mail(command: Note, turn: rb.Turn) -> None:
        turn.send(rb.Tell(Account, "a", Deposit(command.number)))
        if turn.attempt <= command.failures:
            raise Broken("again")

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.enqueue("mail", Note(5, failures=2))
        await runtime.enqueue("mail", Note(100, failures=9))
        await looking.until("select count(*) = 1 from rolebook.dead_letters")
        await looking.until("select count(*) = 1 from rolebook.events")
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 5


async def test_sql_of_a_turn_commits_with_it(database_url: str, looking: Looking) -> None:
    """With `turn.connection()` the handler's SQL, its sends and the acknowledgement commit together."""
    await looking.do("create table done (number int)")
    app = rb.App("app", actors=[Account])

    @app.handler("mail", retry=QUICK)
    async def mail(command: Note, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute("insert into public.done values (%s)", (command.number,))
            turn.send(rb.Tell(Account, "a", Deposit(1)))
        async with turn.connection() as again:
            assert again is connection

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.send(*(rb.Enqueue("mail", Note(number)) for number in range(20)))
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 20
    assert await looking.rows("select number from done order by 1") == [(n,) for n in range(20)]


async def test_sql_of_a_failing_turn_is_rolled_back(database_url: str, looking: Looking) -> None:
    """If the handler raises, its SQL and its sends have not happened, and the message is tried again."""
    await looking.do("create table done (number int, attempt int)")
    app = rb.App("app", actors=[Account])

    @app.handler("mail", retry=QUICK)
    async def mail(command: Note, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute(
                "insert into public.done values (%s, %s)", (command.number, turn.attempt)
            )
        turn.send(rb.Tell(Account, "a", Deposit(1)))
        if turn.attempt <= command.failures:
            raise Broken("again")

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.enqueue("mail", Note(1, failures=2))
        await runtime.enqueue("mail", Note(2, failures=9))
        await looking.until("select count(*) = 1 from rolebook.dead_letters")
        await looking.until("select count(*) = 1 from done")
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 1
    assert await looking.rows("select * from done") == [(1, 3)]


@pytest.mark.parametrize(
    ("mistake", "words", "rows"),
    [
        ("select 1 / 0", "DivisionByZero", 1),
        ("selec", "SyntaxError", 1),
        ("rollback", "transaction", 1),
        ("commit", "transaction", 2),  # what it has committed by itself is there
    ],
)
async def test_broken_sql_of_a_turn_is_an_error_of_the_turn(
    database_url: str, looking: Looking, mistake: LiteralString, words: str, rows: int
) -> None:
    """A handler that breaks its transaction fails, is a dead letter, and takes nobody with it."""
    await looking.do("create table done (number int)")
    app = rb.App("app", actors=[Account])

    @app.handler("mail", retry=ONCE)
    async def mail(command: Note, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute("insert into public.done values (1)")
            if command.number:
                await connection.execute(mistake)

    settings = rb.Settings(backoff=rb.Backoff(first=0.01, cap=0.02))
    async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
        await runtime.enqueue("mail", Note(1))
        await runtime.enqueue("mail", Note(0))
        await runtime.wait_idle()
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
        (letter,) = await runtime.dead_letters()
    assert words in letter.error
    assert await looking.value("select count(*) from done") == rows


async def test_a_handler_that_swallows_an_sql_error_fails(database_url: str, looking: Looking) -> None:
    """A transaction in error cannot commit: the turn fails although the handler returned."""
    app = rb.App("app")

    @app.handler("mail", retry=ONCE)
    async def mail(command: Note, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            with pytest.raises(Exception, match="division"):
                await connection.execute("select 1 / 0")

    settings = rb.Settings(backoff=rb.Backoff(first=0.01, cap=0.02))
    async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
        await runtime.enqueue("mail", Note(1))
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
    assert "InFailedSqlTransaction" in letter.error


async def test_more_handlers_than_connections_wait_their_turn(database_url: str, looking: Looking) -> None:
    """Handlers that want a transaction queue for the pool; actors still load, and nothing fails."""
    await looking.do("create table done (number int)")
    settings = rb.Settings(pool_size=2, acquire_timeout=5)
    app = rb.App("app", actors=[Account])

    @app.handler("mail", concurrency=16, retry=ONCE)
    async def mail(command: Note, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute("insert into public.done values (%s)", (command.number,))
            turn.send(rb.Tell(Account, f"k{command.number}", Deposit(1)))

    async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
        await runtime.send(*(rb.Enqueue("mail", Note(number)) for number in range(100)))
        await runtime.wait_idle()
        assert await runtime.dead_letters() == []
    assert await looking.value("select count(*) from done") == 100
    assert await looking.value("select count(*) from rolebook.events") == 100


async def test_handlers_that_hog_the_pool_do_not_starve_actors(database_url: str, looking: Looking) -> None:
    """While every connection for handlers is in use, and stays so, actors are loaded and read."""
    release = trio.Event()
    inside = 0
    settings = rb.Settings(pool_size=2, acquire_timeout=0.2)
    app = rb.App("app", actors=[Account])

    @app.handler("mail", concurrency=2, retry=ONCE)
    async def mail(command: Note, turn: rb.Turn) -> None:
        nonlocal inside
        async with turn.connection():
            inside += 1
            await release.wait()

    with trio.fail_after(20):
        async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
            await runtime.send(*(rb.Enqueue("mail", Note(number)) for number in range(2)))
            while inside < 2:
                await looking.value("select 1")
            assert await runtime.ask(Account, "a", Deposit(1)) == 1
            release.set()
            await runtime.wait_idle()


async def test_a_turn_that_takes_too_long_fails(database_url: str) -> None:
    """A handler over the app's limit is cancelled; the dead letter says how long it was given."""
    app = rb.App("app", limits=rb.Limits(turn_seconds=0.05))

    @app.handler("mail", retry=ONCE)
    async def mail(command: Note) -> None:
        await trio.sleep_forever()

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.enqueue("mail", Note(1))
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
    assert "0.05 s" in letter.error


async def test_a_turn_is_over_when_the_handler_returns(database_url: str) -> None:
    """A turn that was kept beyond its handler gives no connection, and sends nothing, with an error."""
    turns: list[rb.Turn] = []
    app = rb.App("app")

    @app.handler("mail")
    async def mail(command: Note, turn: rb.Turn) -> None:
        turns.append(turn)

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.enqueue("mail", Note(1))
        await runtime.wait_idle()
        with pytest.raises(rb.RolebookError, match=r"this turn is over: turn\.send\(\)"):
            turns[0].send(rb.Enqueue("mail", Note(2)))
        with pytest.raises(rb.RolebookError, match="this turn is over"):
            async with turns[0].connection():
                pass


async def test_a_command_that_a_handler_does_not_take_is_a_dead_letter(database_url: str) -> None:
    """A message of a class that the app knows and the handler does not take never gets to it."""
    app = rb.App("app", actors=[Account])

    @app.handler("mail")
    async def mail(command: Note) -> None:
        raise AssertionError

    async with rb.open_runtime(app, database=database_url) as runtime:
        with pytest.raises(rb.EffectError, match="the handler of queue 'mail' takes Note, not Deposit"):
            await runtime.enqueue("mail", Deposit(1))
        async with runtime.connection() as connection:  # as another program may
            await connection.execute("select rolebook.enqueue('mail', 'account.deposit', '{\"amount\": 1}')")
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
    assert letter.error.startswith("EffectError: the handler of queue 'mail' takes Note, not Deposit")


async def test_a_refused_message_of_a_queue_is_acknowledged(database_url: str, looking: Looking) -> None:
    """A handler that raises Rejected is done with its message, and what it sent was not sent."""
    app = rb.App("app", actors=[diary()])

    @app.handler("mail")
    async def mail(command: Note, turn: rb.Turn) -> None:
        turn.send(rb.Tell("diary", "a", command))
        raise rb.Rejected("no")

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.enqueue("mail", Note(1))
        await runtime.wait_idle()
        assert await runtime.dead_letters() == []
    assert await looking.journal("diary", "a") == []


async def test_the_message_id_is_the_same_at_each_attempt(database_url: str, looking: Looking) -> None:
    """`turn.message_id` names the message for ever: the key for effects outside the database."""
    seen: list[tuple[str, int]] = []
    app = rb.App("app")

    @app.handler("mail", retry=QUICK)
    async def mail(command: Note, turn: rb.Turn) -> None:
        seen.append((turn.message_id, turn.attempt))
        if turn.attempt <= command.failures:
            raise Broken("again")

    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.enqueue("mail", Note(1, failures=2))
        await looking.until(
            "select not exists (select from rolebook.messages)"
            " and not exists (select from rolebook.scheduled)"
        )
    assert [attempt for _, attempt in seen] == [1, 2, 3]
    assert len({message_id for message_id, _ in seen}) == 1


async def test_what_is_no_message_is_a_dead_letter_at_once(database_url: str) -> None:
    """A command that a handler sends without saying whom, for one; a sender outside gets the error."""
    app = rb.App("app")

    @app.handler("mail")
    async def mail(command: Note, turn: rb.Turn) -> None:
        wrong: Any = command
        turn.send(wrong)

    async with rb.open_runtime(app, database=database_url) as runtime:
        wrong: Any = Note(2)
        with pytest.raises(rb.EffectError, match=r"Note\(number=2.*\) is no message; send Tell"):
            await runtime.send(wrong)
        await runtime.enqueue("mail", Note(1))
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
    assert letter.attempts == 1
    assert "Note(number=1, failures=0, spoil=False) is no message" in letter.error


def slow_to_commit() -> FaultyStore:
    """A store whose writer takes a second for each commit."""

    async def slowly() -> None:
        await trio.sleep(1)

    async def never(*_: object) -> bool:
        raise AssertionError("no fault was planned")

    return FaultyStore(MemoryStore(), Hooks(never, never, slowly), [])


async def test_a_transaction_of_its_own_commits_behind_what_came_before_it(autojump_clock: MockClock) -> None:
    """In a key, a turn that commits beside the writer waits for what the writer has of that key."""
    order = list[int]()
    app = rb.App("app")

    @app.handler("mail", on_failure="block")
    async def mail(command: Note, turn: rb.Turn) -> None:
        turn.send(rb.Enqueue("seen", command, key="k"))
        if command.number % 2 == 0:
            async with turn.connection():
                pass

    @app.handler("seen")
    async def seen(command: Note) -> None:
        order.append(command.number)

    async with rb.open_runtime(app, database=slow_to_commit().as_store()) as runtime:
        await runtime.send(*(rb.Enqueue("mail", Note(number), key="k") for number in range(1, 9)))
        await runtime.wait_idle()
    assert [1, 2, 3, 4, 5, 6, 7, 8] == order


async def test_a_retry_with_a_transaction_of_its_own_commits_behind_its_mark(
    autojump_clock: MockClock,
) -> None:
    """It begins before the writer has stored that it failed, and waits for that with its commit.

    Else the mark would find its message gone, and what is behind it in the key would fall with it.
    """
    order, tried = list[int](), list[int]()
    app = rb.App("app")

    @app.handler("mail", on_failure="block", retry=rb.Retry(attempts=3, backoff=rb.Backoff(first=0)))
    async def mail(command: Note, turn: rb.Turn) -> None:
        tried.append(command.number)
        async with turn.connection():
            turn.send(rb.Enqueue("seen", command, key="k"))
            if tried.count(command.number) == 1:
                raise ValueError("the first try")

    @app.handler("seen")
    async def seen(command: Note) -> None:
        order.append(command.number)

    store = slow_to_commit()
    async with rb.open_runtime(app, database=store.as_store()) as runtime:
        await runtime.send(*(rb.Enqueue("mail", Note(number), key="k") for number in range(1, 9)))
        await runtime.wait_idle()
    assert [1, 2, 3, 4, 5, 6, 7, 8] == order
    assert [number for number in range(1, 9) for _ in range(2)] == tried
    assert {Committed()} == set(store.results)
