"""One deadline for the end of a runtime, against a real server: also over a link that is dead."""

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager

import pytest
import trio
import trio.testing
from attrs import define, field

import rolebook as rb
from tests.proxy import open_proxy
from tests.runtime.apps import Account, Deposit, Note
from tests.runtime.looking import Looking
from tests.waiting import eventually

QUEUES = [f"queue{number}" for number in range(6)]
EACH = 3

SHUTDOWN = 2.0
LITTLE = 1.5
"""Seconds that a busy machine may take longer; one allowance more, or a wait for the link, is longer."""


@define(eq=False)
class Counter:
    """Six queues whose turns write a row in their own transaction, and then wait, or end.

    Attributes:
        holds: Whether they wait, for ever.
        held: How many do.
    """

    holds: bool
    held: int = 0
    app: rb.App = field(factory=lambda: rb.App("app", actors=[Account]))

    def __attrs_post_init__(self) -> None:
        for name in QUEUES:
            self._add(name)

    def _add(self, name: str) -> None:
        @self.app.handler(name, concurrency=1)
        async def count(command: Note, turn: rb.Turn) -> None:
            async with turn.connection() as connection:
                await connection.execute("insert into public.counted values (%s, %s)", (name, command.number))
                if self.holds:
                    self.held += 1
                    await connection.execute("select pg_sleep(600)")


async def fill(runtime: rb.Runtime) -> None:
    """Send some messages to every queue."""
    await runtime.send(*(rb.Enqueue(name, Note(number)) for number in range(EACH) for name in QUEUES))


async def everything_counts_once(database_url: str, looking: Looking) -> None:
    """Let another runtime handle what is left; see that nothing is lost, nor there twice."""
    async with rb.open_runtime(Counter(holds=False).app, database=database_url) as runtime:
        await runtime.wait_idle()
    counted = await looking.rows("select queue, number from public.counted order by 1, 2")
    assert [(name, number) for name in QUEUES for number in range(EACH)] == counted


@contextmanager
def suppress_into(told: list[Exception], *kinds: type[Exception]) -> Generator[None]:
    """Keep the errors of some kinds that a block raises."""
    try:
        yield
    except kinds as error:
        told.append(error)


@pytest.fixture
async def table(looking: Looking) -> AsyncGenerator[None]:
    """A table for what the turns do; it goes with the test."""
    await looking.do("create table public.counted (queue text, number int)")
    yield
    await looking.terminate("pool")  # over a link that is cut the server notices late that nobody is there
    await looking.do("drop table public.counted")


async def test_turns_that_do_not_end_take_one_deadline(
    database_url: str, looking: Looking, table: None
) -> None:
    """Statements of six queues are cancelled at the server; all is left in order, and handled later."""
    counter, settings = Counter(holds=True), rb.Settings(shutdown=SHUTDOWN, pool_size=8)
    async with rb.open_runtime(counter.app, database=database_url, settings=settings) as runtime:
        await fill(runtime)
        await eventually(lambda: counter.held == len(QUEUES))
        asked = trio.current_time()
    assert trio.current_time() - asked < SHUTDOWN + LITTLE
    await looking.nothing_left()
    await everything_counts_once(database_url, looking)


async def test_a_dead_link_does_not_hold_up_the_end(database_url: str, looking: Looking, table: None) -> None:
    """Over a link that swallows everything it takes no longer; who waits is told, and nothing is lost."""
    counter, settings = Counter(holds=True), rb.Settings(shutdown=SHUTDOWN, pool_size=8)
    told: list[Exception] = []

    async def tell(runtime: rb.Runtime) -> None:
        with suppress_into(told, rb.OutcomeUnknown, rb.NotRunning):
            await runtime.tell(Account, "a", Deposit(1))

    async def ask(runtime: rb.Runtime) -> None:
        with suppress_into(told, rb.OutcomeUnknown, rb.NotRunning):
            await runtime.ask(Account, "b", Deposit(1))

    async with open_proxy(database_url) as proxy, trio.open_nursery() as nursery:
        async with rb.open_runtime(counter.app, database=proxy.url, settings=settings) as runtime:
            await fill(runtime)
            await eventually(lambda: counter.held == len(QUEUES))
            proxy.freeze()
            nursery.start_soon(tell, runtime)
            nursery.start_soon(ask, runtime)
            await trio.testing.wait_all_tasks_blocked()
            asked = trio.current_time()
        took = trio.current_time() - asked
        proxy.cut()
    assert took < SHUTDOWN + LITTLE
    assert 2 == len(told)
    assert 6 == counter.held, "a turn began meanwhile"
    await everything_counts_once(database_url, looking)


async def test_a_dead_link_with_nothing_in_work(database_url: str, looking: Looking, table: None) -> None:
    """With nothing in work, too, the end waits for a dead link no longer than its deadline."""
    counter, settings = Counter(holds=False), rb.Settings(shutdown=SHUTDOWN, poll_interval=0.05)
    async with open_proxy(database_url) as proxy:
        async with rb.open_runtime(counter.app, database=proxy.url, settings=settings) as runtime:
            await fill(runtime)
            await runtime.wait_idle()
            before = await looking.value("select count(*) from rolebook.messages")
            proxy.freeze()
            with trio.move_on_after(0.2):  # every part that looks at intervals waits for an answer by now
                await trio.sleep_forever()
            asked = trio.current_time()
        took = trio.current_time() - asked
        proxy.cut()
    assert 0 == before
    assert took < SHUTDOWN + LITTLE


async def test_a_client_with_a_dead_link(database_url: str) -> None:
    """A client ends by the same deadline, and who waits in it is told."""
    settings, told, lost = rb.Settings(shutdown=SHUTDOWN), list[Exception](), list[Exception]()
    app = rb.App("app", actors=[Account])

    async def count(client: rb.Client) -> None:
        with suppress_into(lost, Exception):
            await client.depths()

    async def tell(client: rb.Client) -> None:
        with suppress_into(told, rb.OutcomeUnknown, rb.NotRunning):
            await client.tell(Account, "a", Deposit(1))

    async with open_proxy(database_url) as proxy, trio.open_nursery() as nursery:
        async with rb.open_client(app, database=proxy.url, settings=settings) as client:
            await client.tell(Account, "a", Deposit(1))
            await client.depths()
            proxy.freeze()
            nursery.start_soon(tell, client)
            nursery.start_soon(count, client)
            await trio.testing.wait_all_tasks_blocked()
            asked = trio.current_time()
        assert trio.current_time() - asked < SHUTDOWN + LITTLE
        proxy.cut()
    assert (1, 1) == (len(told), len(lost))
