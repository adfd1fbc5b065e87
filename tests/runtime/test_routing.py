"""Routes at work: an event and what it is routed to are one commit, on both stores."""

import pytest
import trio
from attrs import Factory, define, frozen

import rolebook as rb
from rolebook.runtime import MemoryStore
from tests.runtime.apps import QUICK, Account, Broken, Deposit, Deposited, Transfer, Withdrawn


@rb.event("auditor.noted")
@frozen
class Noted:
    account: str
    amount: int


@rb.command("auditor.note")
@frozen
class Note(rb.Command[None]):
    account: str
    amount: int


@rb.actor("auditor")
@define
class Auditor:
    """Notes what happens to accounts, and sends everything above a limit on to the mail."""

    totals: dict[str, int] = Factory(dict[str, int])
    notes: int = 0

    @rb.decide
    def note(self, command: Note) -> rb.Effects[None]:
        yield Noted(command.account, command.amount)

    @rb.apply
    def noted(self, event: Noted) -> None:
        self.notes += 1
        self.totals[event.account] = self.totals.get(event.account, 0) + event.amount


def audited() -> rb.App:
    app = rb.App("bank", actors=[Account, Auditor])

    @app.route
    def note(event: Deposited | Withdrawn, turn: rb.DecideTurn) -> rb.Tell:
        amount = event.amount if isinstance(event, Deposited) else -event.amount
        return rb.Tell(Auditor, "all", Note(turn.key, amount))

    return app


@pytest.fixture(params=["memory", "postgres"])
def database(request: pytest.FixtureRequest) -> str | MemoryStore:
    """An empty store: one in memory, one in PostgreSQL."""
    if request.param == "memory":
        return MemoryStore()
    url: str = request.getfixturevalue("database_url")
    return url


async def test_an_event_is_routed_once(database: str | MemoryStore) -> None:
    """Asked or told, each event of an account reaches the auditor once, with its trail."""
    async with rb.open_runtime(audited(), database=database) as runtime:
        await runtime.ask(Account, "a", Deposit(10))
        await runtime.tell(Account, "a", Transfer("b", 4))
        await runtime.wait_idle()
        auditor = await runtime.read(Auditor, "all")
        assert (auditor.totals, auditor.notes) == ({"a": 6, "b": 4}, 3)
        trails = {each.metadata["correlation"] async for each in runtime.events(Auditor, "all")}
        causes = {each.metadata["correlation"] async for each in runtime.events(Account, "a")}
        assert trails == causes


async def test_a_refused_turn_is_not_routed(database: str | MemoryStore) -> None:
    """What was not decided is routed nowhere."""
    async with rb.open_runtime(audited(), database=database) as runtime:
        with pytest.raises(rb.Rejected):
            await runtime.ask(Account, "a", Deposit(0))
        await runtime.wait_idle()
        assert (await runtime.read(Auditor, "all")).notes == 0


async def test_a_route_that_raises_fails_its_turn(database: str | MemoryStore) -> None:
    """Neither the event nor its message is there before the retry succeeds; then both are, once."""
    attempts: list[int] = []

    @rb.actor("safe", retry=QUICK)
    @define
    class Safe:
        amount: int = 0

        @rb.decide
        def deposit(self, command: Deposit) -> rb.Effects[int]:
            yield Deposited(command.amount)
            return self.amount

        @rb.apply
        def deposited(self, event: Deposited) -> None:
            self.amount += event.amount

    app = rb.App("bank", actors=[Safe, Auditor])

    @app.route
    def note(event: Deposited, turn: rb.DecideTurn) -> rb.Tell:
        attempts.append(turn.attempt)
        if turn.attempt < 3:
            raise Broken("not yet")
        return rb.Tell(Auditor, "all", Note(turn.key, event.amount))

    async with rb.open_runtime(app, database=database) as runtime:
        await runtime.tell(Safe, "a", Deposit(5))
        while attempts != [1, 2, 3] or (await runtime.read(Auditor, "all")).notes == 0:
            await runtime.wait_idle()
            await trio.lowlevel.checkpoint()
        assert (await runtime.read(Safe, "a")).amount == 5
        assert (await runtime.read(Auditor, "all")).totals == {"a": 5}
        assert await runtime.dead_letters() == []


async def test_a_route_to_nowhere_makes_a_dead_letter(database: str | MemoryStore) -> None:
    """A route that returns no message has its turn given up at once, and is named."""
    app = rb.App("bank", actors=[Account])

    @app.route
    def wrong(event: Deposited) -> object:
        return event

    async with rb.open_runtime(app, database=database) as runtime:
        await runtime.tell(Account, "a", Deposit(5))
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
        assert "wrong returned Deposited" in letter.error
        assert (await runtime.read(Account, "a")).balance == 0


async def test_a_runtime_that_is_cut_off_routes_everything_once(database: str | MemoryStore) -> None:
    """However often a runtime is cancelled in the middle, in the end every event was routed once."""
    deposits = 2000
    async with rb.open_runtime(rb.App("sender", actors=[Auditor]), database=database) as sender:
        await sender.send(*(rb.Tell(Account, str(number % 7), Deposit(1)) for number in range(deposits)))
    app, left = audited(), True
    while left:
        with trio.CancelScope() as cut:
            async with rb.open_runtime(app, database=database) as runtime:
                while left and runtime.statistics().commits < 3:
                    left = await runtime.store.pending(app.queues)
                cut.cancel()
    async with rb.open_runtime(audited(), database=database) as runtime:
        await runtime.wait_idle()
        auditor = await runtime.read(Auditor, "all")
        balances = await runtime.read_many(Account, [str(number) for number in range(7)])
        assert auditor.notes == deposits
        assert auditor.totals == {key: account.balance for key, account in balances.items()}
