"""One deadline for the end of a runtime, in virtual time: all stop beginning at once, and end by it."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

import rolebook as rb
from rolebook.actors import Stopping
from rolebook.runtime import MemoryStore, Runtime, _runtime  # pyright: ignore[reportPrivateUsage]
from rolebook.runtime._open_tree import open_tree
from rolebook.runtime.contract import Ending, Store
from tests.runtime.apps import Account, Deposit, Note
from tests.runtime.faults import FaultyStore, Hooks

QUEUES = [f"queue{number}" for number in range(6)]


@define(eq=False)
class Diary:
    """What the handlers of six queues did.

    Attributes:
        seconds: How long each turn takes.
        is_over: Whether the end was announced.
    """

    seconds: float
    began: list[tuple[str, int]] = field(factory=list[tuple[str, int]])
    done: list[tuple[str, int]] = field(factory=list[tuple[str, int]])
    late: list[tuple[str, int]] = field(factory=list[tuple[str, int]])
    is_over: bool = False

    def app(self, *children: rb.Child, concurrency: int = 1) -> rb.App:
        """Make an app of the six queues."""
        app = rb.App("app", actors=[Account], children=children)
        for name in QUEUES:
            self._add(app, name, concurrency)
        return app

    def _add(self, app: rb.App, name: str, concurrency: int) -> None:
        @app.handler(name, concurrency=concurrency)
        async def handle(command: Note) -> None:
            (self.late if self.is_over else self.began).append((name, command.number))
            await trio.sleep(self.seconds)
            self.done.append((name, command.number))


@asynccontextmanager
async def ending_within(
    seconds: float, app: rb.App, store: Store, diary: Diary, shutdown: float | None = None
) -> AsyncGenerator[Runtime]:
    """Run an app; see that its end takes no longer than so many seconds."""
    settings = rb.Settings(shutdown=shutdown or seconds)
    with trio.fail_after(1000):
        async with rb.open_runtime(app, database=store, settings=settings) as runtime:
            yield runtime
            asked, diary.is_over = trio.current_time(), True
    assert trio.current_time() - asked <= seconds, f"longer than {seconds:g} s"


async def fill(runtime: Runtime, each: int) -> None:
    """Send some messages to every queue."""
    await runtime.send(*(rb.Enqueue(name, Note(number)) for number in range(each) for name in QUEUES))


def takes_its_time(seconds: float) -> rb.Child:
    """Make a child that takes so long to stop."""

    async def run(stopping: Stopping) -> None:
        await stopping.wait()
        await trio.sleep(seconds)

    return rb.Child("slow", run, shutdown="forever")


async def test_six_queues_end_within_one_deadline(autojump_clock: MockClock) -> None:
    """Six queues whose turns go on for ever take no longer than one; what they had is handled later, once."""
    store, diary = MemoryStore(), Diary(1000)
    async with ending_within(2, diary.app(), store, diary) as runtime:
        await fill(runtime, 3)
        await trio.sleep(1)
    assert [(name, 0) for name in QUEUES] == sorted(diary.began)
    assert ([], []) == (diary.late, diary.done)
    assert dict.fromkeys(QUEUES, 3) == await store.depths(QUEUES)
    again = Diary(0)
    async with rb.open_runtime(again.app(), database=store) as runtime:
        await runtime.wait_idle()
    assert [(name, number) for name in QUEUES for number in range(3)] == sorted(again.done)


async def test_six_queues_end_within_one_deadline_control(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If all heard of the end in their turn, allowances would add up, and turns begin meanwhile."""

    def unheard(spec: rb.Supervisor, _: Ending) -> AbstractAsyncContextManager[rb.Tree]:
        return open_tree(spec, Ending(1e9))

    monkeypatch.setattr(_runtime, "open_tree", unheard)
    store, diary = MemoryStore(), Diary(1.5)
    with pytest.raises(AssertionError, match="longer than"):  # noqa: PT012 - the block is what is tested
        async with ending_within(2, diary.app(), store, diary) as runtime:
            await fill(runtime, 30)
            await trio.sleep(1)
    assert diary.late


async def test_no_turn_begins_once_the_end_was_announced(autojump_clock: MockClock) -> None:
    """Every queue ends what it has in work, side by side, and begins nothing: the rest stays."""
    store, diary = MemoryStore(), Diary(1)
    async with ending_within(1, diary.app(concurrency=2), store, diary, shutdown=60) as runtime:
        await fill(runtime, 9)
        await trio.sleep(0.5)
    assert 12 == len(diary.began) == len(diary.done)
    assert [] == diary.late
    assert dict.fromkeys(QUEUES, 7) == await store.depths(QUEUES)


async def test_no_turn_begins_while_a_child_takes_its_time(autojump_clock: MockClock) -> None:
    """The app's own children stop first, and the queues begin nothing meanwhile."""
    store, diary = MemoryStore(), Diary(1)
    async with ending_within(5, diary.app(takes_its_time(5)), store, diary, shutdown=60) as runtime:
        await fill(runtime, 9)
        await trio.sleep(0.5)
    assert [] == diary.late
    assert dict.fromkeys(QUEUES, 8) == await store.depths(QUEUES)


@pytest.mark.parametrize("way", ["request", "giving up"])
async def test_whatever_ends_the_tree_is_announced(autojump_clock: MockClock, way: str) -> None:
    """Asked to stop, or giving up, the tree lets no turn begin any more, and ends by the deadline."""
    breaks = trio.Event()

    async def breaking() -> None:
        await breaks.wait()
        diary.is_over = True
        raise ValueError("on purpose")

    store, diary, asked = MemoryStore(), Diary(0.01), 0.0
    app = diary.app(rb.Child("breaking", breaking), takes_its_time(1000))
    settings = rb.Settings(shutdown=2)

    def impatient(tree: rb.Supervisor) -> rb.Supervisor:
        return rb.Supervisor(tree.name, tree.children, max_restarts=0)

    with suppress(BaseExceptionGroup), trio.fail_after(100):
        async with rb.open_runtime(app, database=store, settings=settings, tree=impatient) as runtime:
            await fill(runtime, 500)
            await trio.sleep(0.1)
            asked = trio.current_time()
            if way == "request":
                diary.is_over = True
                runtime.tree.request_stop()
            else:
                breaks.set()
            with trio.CancelScope(shield=True):
                await runtime.tree.wait_stopped()
    assert trio.current_time() - asked <= 2
    assert diary.began
    assert [] == diary.late


async def test_a_child_cannot_use_up_the_time_of_the_last_commit(autojump_clock: MockClock) -> None:
    """What was finished is committed within the deadline, whoever took too long before."""
    told: list[int] = []

    async def tells_at_last(stopping: Stopping) -> None:
        await stopping.wait()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await runtime.tell(Account, "a", Deposit(1))
                told.append(1)

    async def slow_commit() -> None:
        await trio.sleep(0.1)

    real, diary = MemoryStore(), Diary(0)
    store = FaultyStore(real, Hooks(_nothing, _nothing, slow_commit), ()).as_store()
    app = diary.app(rb.Child("last", tells_at_last, shutdown="forever"))
    async with ending_within(10, app, store, diary) as runtime:
        await trio.sleep(1)
    assert [1] == told
    assert {"account": 1} == await real.depths(["account"])


async def _nothing(*_: object) -> bool:
    raise AssertionError("no fault was planned")


async def test_turns_and_children_that_end_may_still_ask(autojump_clock: MockClock) -> None:
    """An actor answers those that end before it, so that they can: a turn in work, a child of the app."""
    store, answers = MemoryStore(), list[int]()

    async def closing(stopping: Stopping) -> None:
        await stopping.wait()
        answers.append(await runtime.ask(Account, "child", Deposit(1)))

    app = rb.App("app", actors=[Account], children=[rb.Child("closing", closing)])

    @app.handler("mail")
    async def mail(command: Note, turn: rb.Turn) -> None:
        await trio.sleep(1)
        answers.append(await turn.client.ask(Account, "turn", Deposit(2)))

    diary = Diary(0)
    async with ending_within(1, app, store, diary, shutdown=60) as runtime:
        await runtime.enqueue("mail", Note(1))
        await trio.sleep(0.5)
    assert [1, 2] == sorted(answers)
    assert {"mail": 0} == await store.depths(["mail"])


async def test_an_ending_actor_takes_nothing_from_its_mailbox(autojump_clock: MockClock) -> None:
    """While others end, an actor begins no message, and an ask overtakes none that its sender sent before."""
    store, seen = MemoryStore(), list[int]()

    async def closing(stopping: Stopping) -> None:
        await stopping.wait()
        await runtime.tell(Account, "a", Deposit(1))
        with trio.move_on_after(1):
            seen.append(await runtime.ask(Account, "a", Deposit(10)))

    app = rb.App("app", actors=[Account], children=[rb.Child("closing", closing)])
    async with ending_within(3, app, store, Diary(0)) as runtime:
        await runtime.tell(Account, "a", Deposit(100))
        await runtime.wait_idle()
    assert [] == seen
    async with rb.open_runtime(app, database=store) as runtime:
        await runtime.wait_idle()
        assert 111 == (await runtime.read(Account, "a")).balance


async def test_a_resource_that_does_not_close_is_cancelled(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Resources close by the deadline too; the others are closed all the same, and the log says so."""
    closed: list[str] = []
    app = rb.App("app")

    @app.resource
    @asynccontextmanager
    async def cache() -> AsyncGenerator[str]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                yield "cache"
            finally:
                closed.append("cache")
                nursery.cancel_scope.cancel()

    @app.resource
    @asynccontextmanager
    async def mailer() -> AsyncGenerator[str]:
        yield "mailer"
        await trio.sleep_forever()

    @app.handler("mail")
    async def mail(command: Note, cache: str, mailer: str) -> None: ...

    async with ending_within(2, app, MemoryStore(), Diary(0)):
        pass
    assert ["cache"] == closed
    assert "were not closed within its shutdown" in caplog.text


async def test_who_waits_for_a_reply_from_elsewhere_is_told(autojump_clock: MockClock) -> None:
    """An ask through the mailbox ends with the runtime that asked, and says that its outcome is unknown."""
    store, diary = MemoryStore(), Diary(0)
    errors: list[Exception] = []

    async def ask() -> None:
        try:
            await runtime.ask(Account, "a", Deposit(1))
        except rb.OutcomeUnknown as error:
            errors.append(error)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            settings = rb.Settings(shutdown=2)
            app = diary.app()
            async with rb.open_runtime(app, database=store, settings=settings, serve=["queue0"]) as runtime:
                nursery.start_soon(ask)
                await trio.sleep(1)
    assert 1 == len(errors)
