"""An ask comes behind what its sender sent before, by whichever way; and never waits for what comes later."""

# pyright: reportPrivateUsage=false

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from attrs import define

import rolebook as rb
from rolebook.runtime import MemoryStore, Runtime
from rolebook.runtime.postgres import Connection
from rolebook.runtime.system import Page
from tests.runtime.apps import Account, Broken, Deposit, Deposited, Transfer
from tests.runtime.looking import Looking
from tests.waiting import eventually

MANY = 300
SEVERAL = 30
TIGHT = rb.Settings(mailbox_capacity=2)
BY_SQL = "select rolebook.tell('account', %s, 'account.deposit', '{\"amount\": 1}')"


@pytest.fixture(params=["memory", "postgres"])
def database(request: pytest.FixtureRequest) -> Any:
    """What a runtime is opened on: each kind of store."""
    if request.param == "memory":
        return MemoryStore(partitions=4)
    return request.getfixturevalue("migrated_url")


def accounts() -> rb.App:
    return rb.App("app", actors=[Account])


async def tell_many(runtime: Runtime, key: str) -> None:
    await runtime.send(*(rb.Tell(Account, key, Deposit(1)) for _ in range(MANY)))


@pytest.mark.parametrize("capacity", [2, 2000])
async def test_what_was_told_in_an_earlier_life(database: Any, capacity: int) -> None:
    """A process that was opened again asks behind what it told before it ended."""
    settings = rb.Settings(mailbox_capacity=capacity)
    for life in ("a", "b", "c"):
        async with rb.open_runtime(accounts(), database=database, settings=settings, process="me") as runtime:
            await tell_many(runtime, life)
        async with rb.open_runtime(accounts(), database=database, settings=settings, process="me") as runtime:
            assert await runtime.ask(Account, life, Deposit(1)) == MANY + 1


async def let_the_handler_fall(runtime: Runtime) -> None:
    no_message: Any = None
    runtime._serving.assembly.handlers["account"]._send.send_nowait(Page([no_message]))


async def let_the_session_fall(runtime: Runtime) -> None:
    async with runtime.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'rolebook me fetcher'"
        )


@pytest.mark.parametrize("fall", [let_the_handler_fall, let_the_session_fall])
async def test_what_was_told_before_a_fall(
    database_url: str, fall: Callable[[Runtime], Awaitable[None]]
) -> None:
    """What starts again, alone or with its session, reads its partitions through before it takes an ask."""
    settings = rb.Settings(mailbox_capacity=2, backoff=rb.Backoff(first=0.01, cap=0.05))
    for key in ("a", "b", "c"):
        async with rb.open_runtime(accounts(), database=database_url, process="me") as runtime:
            await tell_many(runtime, key)
        opened = rb.open_runtime(accounts(), database=database_url, settings=settings, process="me")
        async with opened as runtime:
            await fall(runtime)
            assert await runtime.ask(Account, key, Deposit(1)) == MANY + 1


@pytest.mark.parametrize("way", ["effect", "tell", "sql"])
async def test_what_a_turn_sent_in_its_own_transaction(database_url: str, looking: Looking, way: str) -> None:
    """What the handler of a queue sends beside its own SQL is there for who asks once it has committed."""
    app = accounts()
    opened: list[Runtime] = []

    @app.handler("relay")
    async def relay(command: Transfer, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            for _ in range(command.amount):
                if way == "effect":
                    turn.send(rb.Tell(Account, command.to, Deposit(1)))
                elif way == "tell":
                    await opened[0].tell(Account, command.to, Deposit(1), connection=connection)
                else:
                    await connection.execute(BY_SQL, [command.to])

    settings = rb.Settings(mailbox_capacity=2)
    async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
        opened.append(runtime)
        for number in range(1, 6):
            await runtime.enqueue("relay", Transfer(to="a", amount=SEVERAL))
            # Not by a connection of the runtime's: one that is lent makes asks wait for a look anyway.
            await looking.until("select count(*) = 0 from rolebook.messages where queue = 'relay'")
            assert await runtime.ask(Account, "a", Deposit(1)) == (SEVERAL + 1) * number


Way = Callable[[Runtime, str], Awaitable[None]]


async def told_with_no_delay(runtime: Runtime, url: str) -> None:
    await runtime.tell(Account, "a", Deposit(1), delay=0)


async def by_sql_on_a_lent_connection(runtime: Runtime, url: str) -> None:
    async with runtime.connection() as connection:
        await connection.execute(BY_SQL, ["a"])


async def by_sql_on_another_connection(runtime: Runtime, url: str) -> None:
    async with await Connection.connect(url, autocommit=True) as connection:
        await connection.execute(BY_SQL, ["a"])
    runtime.sent_by_sql()


@pytest.mark.parametrize(
    "way", [told_with_no_delay, by_sql_on_a_lent_connection, by_sql_on_another_connection]
)
async def test_what_was_sent_another_way(database_url: str, way: Way) -> None:
    """However its sender sent it, what was there when an ask came is handled before it."""
    async with rb.open_runtime(accounts(), database=database_url) as runtime:
        for number in range(1, 30):
            await way(runtime, database_url)
            assert await runtime.ask(Account, "a", Deposit(1)) == 2 * number


async def test_what_is_sent_while_a_connection_is_lent(database_url: str) -> None:
    """What is sent by SQL in autocommit is there at once, and an ask inside the block comes behind it."""
    async with (
        rb.open_runtime(accounts(), database=database_url) as runtime,
        runtime.connection() as connection,
    ):
        for number in range(1, 30):
            await connection.execute(BY_SQL, ["a"])
            assert await runtime.ask(Account, "a", Deposit(1)) == 2 * number


async def test_what_was_redriven(database: Any) -> None:
    """A dead letter that its sender puts back is handled before what the sender asks next."""
    failing = True

    @rb.actor("shaky", retry=rb.Retry(attempts=1), on_failure="skip")
    @define
    class Shaky:
        balance: int = 0

        @rb.decide
        def deposit(self, command: Deposit) -> rb.Effects[int]:
            if failing:
                raise Broken("still failing")
            yield Deposited(command.amount)
            return self.balance

        @rb.apply
        def deposited(self, event: Deposited) -> None:
            self.balance += event.amount

    async with rb.open_runtime(rb.App("app", actors=[Shaky]), database=database) as runtime:
        await runtime.send(*(rb.Tell(Shaky, "a", Deposit(1)) for _ in range(MANY)))
        await runtime.wait_idle()
        failing = False
        assert await runtime.redrive() == MANY
        assert await runtime.ask(Shaky, "a", Deposit(1)) == MANY + 1


async def test_what_an_actor_elsewhere_told(database: Any) -> None:
    """What an actor of another process told in its turn is there for who has its reply, and asks next."""

    @rb.actor("giver")
    @define
    class Giver:
        @rb.decide
        def give(self, command: Transfer) -> rb.Effects[int]:
            yield rb.Tell("account", command.to, Deposit(command.amount))
            return command.amount

    there, here = rb.App("there", actors=[Giver]), rb.App("here", actors=[Giver, Account])
    async with (
        rb.open_runtime(there, database=database, process="there"),
        rb.open_runtime(here, database=database, process="here") as runtime,
    ):
        for number in range(1, 10):
            await runtime.ask("giver", "g", Transfer(to="a", amount=1))
            assert await runtime.ask(Account, "a", Deposit(1)) == 2 * number


async def test_an_ask_does_not_wait_for_what_comes_later(database: Any) -> None:
    """With a backlog that is fed without end, an ask is answered as soon as what was there is done."""
    settings = rb.Settings(mailbox_capacity=20, batch=10)
    answered, rounds = False, 0
    async with (
        rb.open_runtime(accounts(), database=database, settings=settings) as runtime,
        trio.open_nursery() as nursery,
    ):

        async def feed() -> None:
            nonlocal rounds
            while not answered and rounds < 400:
                await runtime.send(*(rb.Tell(Account, f"f{n}", Deposit(1)) for n in range(50)))
                rounds += 1

        nursery.start_soon(feed)
        await eventually(lambda: rounds > 3)
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
        answered, fed = True, rounds
    assert fed < 200


async def test_an_ask_does_not_wait_for_what_is_less_urgent(database: Any) -> None:
    """It is of priority 0, as it is when it goes through the mailbox; what is more urgent it lets pass."""
    order = list[str]()

    @rb.actor("slow")
    @define
    class Slow:
        @rb.decide
        def transfer(self, command: Transfer, turn: rb.DecideTurn) -> int:
            order.append(command.to)
            return len(order)

    async with rb.open_runtime(rb.App("app", actors=[Slow]), database=database, settings=TIGHT) as runtime:
        low = [rb.Tell(Slow, f"k{number}", Transfer("low", 1), priority=-1) for number in range(MANY)]
        await runtime.send(
            *low, *(rb.Tell(Slow, "a", Transfer("high", 1), priority=1) for _ in range(SEVERAL))
        )
        await runtime.ask(Slow, "a", Transfer("ask", 1))
        await runtime.wait_idle()
    before, after = order[: order.index("ask")], order[order.index("ask") :]
    assert before.count("high") == SEVERAL
    assert "low" in after
    assert len(order) == MANY + SEVERAL + 1
