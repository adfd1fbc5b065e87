"""How a runtime ends: in order, cancelled, or in an error; what it leaves behind is nothing."""

import pytest
import trio
import trio.testing

import rolebook as rb
from rolebook.actors import RolebookError, Tree
from rolebook.actors.supervision import ChildStopped
from rolebook.runtime import MemoryStore, NotRunning, Runtime
from tests.runtime.apps import QUICK, SLOW, Account, Broken, Deposit, Note, diary
from tests.runtime.looking import Looking
from tests.waiting import eventually


async def test_an_orderly_end_leaves_nothing_behind(database_url: str, looking: Looking) -> None:
    """After the block no session, no lock and no task is left; the runtime says that it is not open."""
    app = rb.App("app", actors=[Account])
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.ask(Account, "a", Deposit(1))
        assert not await looking.is_empty()  # the control: what is left is seen
    await looking.nothing_left()
    with pytest.raises(NotRunning):
        await runtime.tell(Account, "a", Deposit(1))


async def test_an_orderly_end_finishes_what_has_begun(database_url: str, looking: Looking) -> None:
    """What is in work when the end is asked for is finished and committed; the rest stays in the mailbox."""
    begun, release = trio.Event(), trio.Event()
    done: list[int] = []
    app = rb.App("app")

    @app.handler("mail", concurrency=1)
    async def mail(command: Note) -> None:
        begun.set()
        await release.wait()
        done.append(command.number)

    async with trio.open_nursery() as nursery:
        runtime = await nursery.start(rb.Runtime(app, database=database_url).run)
        await runtime.send(*(rb.Enqueue("mail", Note(number)) for number in range(5)))
        await begun.wait()
        runtime.tree.request_stop()
        await eventually(lambda: runtime.tree.snapshot()["session/queues/mail"].state == "stopping")
        release.set()
    assert done == [0]
    assert await looking.mailbox("mail") == 4
    await looking.nothing_left()


async def test_nothing_is_lost_when_a_runtime_ends_under_load(database_url: str, looking: Looking) -> None:
    """Whenever a runtime ends, the next one goes on where it stopped, in order."""
    app = rb.App("app", actors=[diary()])
    async with rb.open_runtime(rb.App("app", actors=[Account]), database=database_url) as sender:
        await sender.send(*(rb.Tell("diary", f"k{n % 3}", Note(n)) for n in range(3000)))
    for _ in range(3):
        async with rb.open_runtime(app, database=database_url):
            before = await looking.value("select count(*) from rolebook.events")
            await looking.until("select count(*) > %s or count(*) = 3000 from rolebook.events", before)
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.wait_idle()
    for key in range(3):
        assert await looking.journal("diary", f"k{key}") == list(range(key, 3000, 3))


async def test_a_cancelled_runtime_leaves_nothing_behind(database_url: str, looking: Looking) -> None:
    """Cancelled at any time, it leaves no session and no lock, and nothing half done."""
    app = rb.App("app", actors=[diary()])

    @app.handler("mail")
    async def mail(command: Note, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute("select pg_sleep(600)")

    async with trio.open_nursery() as nursery:
        runtime: Runtime = await nursery.start(rb.Runtime(app, database=database_url).run)
        await runtime.send(*(rb.Tell("diary", "a", Note(n)) for n in range(100)))
        await runtime.enqueue("mail", Note(1))
        await looking.until("select count(*) > 0 from pg_stat_activity where wait_event = 'PgSleep'")
        nursery.cancel_scope.cancel()
    await looking.nothing_left()
    assert await looking.mailbox("mail") == 1
    recorded = await looking.journal("diary", "a")
    assert len(recorded) + await looking.mailbox("diary") == 100
    assert recorded == list(range(len(recorded)))


async def test_a_handler_that_does_not_end_is_cancelled(database_url: str, looking: Looking) -> None:
    """After `Settings.shutdown` seconds what still runs is cancelled, and its message stays."""
    begun = trio.Event()
    app = rb.App("app")

    @app.handler("mail")
    async def mail(command: Note) -> None:
        begun.set()
        await trio.sleep_forever()

    settings = rb.Settings(shutdown=0.2)
    with trio.fail_after(10):
        async with rb.open_runtime(app, database=database_url, settings=settings) as runtime:
            await runtime.enqueue("mail", Note(1))
            await begun.wait()
    assert await looking.mailbox("mail") == 1
    await looking.nothing_left()


@pytest.mark.parametrize("policy", ["block", "park", "skip"])
async def test_what_waits_for_a_retry_does_not_delay_the_end(
    database_url: str, looking: Looking, policy: str
) -> None:
    """Keys that wait for a retry, of actors and of queues, are no work that the end waits for."""
    app = rb.App("app", actors=[diary(retry=SLOW, on_failure=policy)])

    @app.handler("mail", retry=SLOW, on_failure=policy)  # type: ignore[arg-type]
    async def mail(command: Note) -> None:
        raise Broken("always")

    with trio.fail_after(20):
        async with rb.open_runtime(app, database=database_url, settings=rb.Settings(shutdown=60)) as runtime:
            await runtime.tell("diary", "a", Note(1, failures=9))
            await runtime.enqueue("mail", Note(1), key="k")
            await looking.until(
                "select (select count(*) from rolebook.messages where attempts = 1)"
                " + (select count(*) from rolebook.scheduled where attempts = 1) = 2"
            )
    await looking.nothing_left()


async def test_a_second_request_to_stop_changes_nothing(database_url: str, looking: Looking) -> None:
    """Asked to stop twice, and cancelled on top, it stops once."""
    app = rb.App("app", actors=[Account])
    trees: list[Tree] = []
    stopped: list[str] = []

    async def watch(tree: Tree) -> None:
        trees.append(tree)
        stopped.extend([event.path async for event in tree.events() if isinstance(event, ChildStopped)])

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with rb.open_runtime(app, database=database_url) as runtime:
                nursery.start_soon(watch, runtime.tree)
                await trio.testing.wait_all_tasks_blocked()
                runtime.tree.request_stop()
                runtime.tree.request_stop()
                scope.cancel()
                await runtime.tree.wait_stopped()
    assert "app/writer" in stopped
    assert len(stopped) == len(set(stopped))
    assert [tree.snapshot().state for tree in trees] == ["stopped"]
    await looking.nothing_left()


async def test_an_error_in_the_block_ends_the_runtime(database_url: str, looking: Looking) -> None:
    """An exception out of the block is what the caller gets, after the runtime has ended."""
    app = rb.App("app", actors=[Account])
    with pytest.raises(Broken, match="mine"):  # noqa: PT012 - the block is what is tested
        async with rb.open_runtime(app, database=database_url) as runtime:
            await runtime.tell(Account, "a", Deposit(1))
            raise Broken("mine")
    await looking.nothing_left()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "ctrl-c"])
def test_the_end_of_the_program_in_the_block_is_just_that(error: BaseException) -> None:
    """`sys.exit`, or Ctrl-C, in the block ends the runtime and then the program: in no group of errors."""

    async def main() -> None:
        async with rb.open_runtime(rb.App("app", actors=[Account]), database="memory:"):
            raise error

    with pytest.raises(type(error)) as caught:
        trio.run(main)
    assert caught.value is error


async def test_two_processes_hand_over(database_url: str, looking: Looking) -> None:
    """When the owner ends in order, the other takes its partitions at once, and order is kept."""
    settings = rb.Settings(take_interval=0.05)
    app = rb.App("app", actors=[diary(retry=QUICK)])
    async with rb.open_runtime(app, database=database_url, settings=settings) as second:
        async with rb.open_runtime(app, database=database_url, settings=settings) as first:
            for number in range(50):
                await first.tell("diary", "a", Note(number))
            await second.tell("diary", "a", Note(50))
        await second.tell("diary", "a", Note(51))
        await second.wait_idle()
    assert await looking.journal("diary", "a") == list(range(52))
    await looking.nothing_left()


async def test_a_runtime_is_open_once_at_a_time() -> None:
    """To open it a second time is an error, and harms nothing; it may be opened again when it has ended."""
    runtime = rb.Runtime(rb.App("app", actors=[Account]), database=MemoryStore())
    async with runtime.opened():
        with pytest.raises(RolebookError, match="open already"):
            async with runtime.opened():
                pass
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
    async with runtime.opened():
        assert await runtime.ask(Account, "a", Deposit(1)) == 2


async def test_a_runtime_that_was_never_opened_says_so() -> None:
    """Using a runtime before it is open is an error that says what to do."""
    runtime = rb.Runtime(rb.App("app", actors=[Account]))
    with pytest.raises(NotRunning, match="not open"):
        await runtime.ask(Account, "a", Deposit(1))
    with pytest.raises(NotRunning):
        _ = runtime.tree
