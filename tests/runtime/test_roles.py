"""What a process runs of its app: all of it, some of it, or nothing at all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import frozen

import rolebook as rb
from rolebook.runtime.contract import Store
from tests.runtime.apps import Account, Deposit


@rb.command("roles.note")
@frozen
class Note(rb.Command[None]):
    text: str


BANK = rb.App("bank", actors=[Account])


def desk(heard: list[str], done: trio.Event) -> rb.App:
    """An app with an actor and a queue."""
    app = rb.App("bank", actors=[Account])

    @app.handler("notes")
    async def note(command: Note) -> None:
        heard.append(command.text)
        done.set()

    return app


# ---- clients ----


async def test_a_client_sends_asks_reads_and_lists(store: Store) -> None:
    """As a runtime does; who runs the app handles it."""
    async with (
        rb.open_runtime(BANK, database=store, process="worker") as runtime,
        rb.open_client(BANK, database=store, process="web") as client,
    ):
        assert await client.ask(Account, "a", Deposit(5)) == 5
        await client.tell(Account, "a", Deposit(2))
        await client.wait_idle()
        assert (await client.read(Account, "a")).balance == 7
        assert ["a"] == [key async for key in client.keys(Account)]
        assert await client.depths() == {"account": 0}
        assert runtime.statistics().mailbox.members == ("worker",)


async def test_a_client_owns_nothing(store: Store) -> None:
    """What it sends waits, for as long as nobody runs the app; no child is started."""

    async def start() -> None:
        raise AssertionError("a client started a child")

    app = rb.App("bank", actors=[Account], children=[rb.Child("web", start)])
    async with rb.open_client(app, database=store) as client:
        await client.tell(Account, "a", Deposit(2))
        assert await client.depths() == {"account": 1}
    async with rb.open_runtime(BANK, database=store) as runtime:
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 2


async def test_a_client_needs_nothing_to_run(store: Store) -> None:
    """An app without handlers sends by name; a runtime of it is refused, with the remedy."""
    empty = rb.App("script", messages=[Deposit])
    async with rb.open_runtime(BANK, database=store), rb.open_client(empty, database=store) as client:
        assert await client.ask("account", "a", Deposit(5)) == 5
    with pytest.raises(rb.DefinitionError, match=r"nothing to run.*open_client"):
        async with rb.open_runtime(empty, database=store):
            pass


async def test_a_client_that_has_ended_says_so(store: Store) -> None:
    """It is open for the length of its block."""
    async with rb.open_client(BANK, database=store) as client:
        pass
    with pytest.raises(rb.NotRunning, match="open_client"):
        await client.tell(Account, "a", Deposit(5))


async def test_an_error_of_the_block_comes_out_as_it_is(store: Store) -> None:
    """That there are tasks beside it is no affair of the caller's."""
    with pytest.raises(ZeroDivisionError):
        async with rb.open_client(BANK, database=store):
            _ = 1 / 0


# ---- serve ----


async def test_a_process_serves_what_it_is_told(store: Store) -> None:
    """The rest is sent through the mailbox, and handled by who serves it."""
    heard, done = list[str](), trio.Event()
    app = desk(heard, done)
    async with (
        rb.open_runtime(app, database=store, process="accounts", serve=["account"]) as accounts,
        rb.open_runtime(app, database=store, process="notes", serve=["notes"]) as notes,
    ):
        assert await notes.ask(Account, "a", Deposit(5)) == 5
        await accounts.enqueue("notes", Note("one"))
        with trio.fail_after(10):
            await done.wait()
        assert accounts.statistics().mailbox.owned == {"account": store.partitions}
        assert notes.statistics().mailbox.owned == {"notes": store.partitions}
    assert heard == ["one"]


async def test_children_are_served_by_name(store: Store) -> None:
    """A process that does not name a child does not start it."""
    started: list[str] = []

    async def one() -> None:
        started.append("one")
        await trio.sleep_forever()

    async def two() -> None:
        started.append("two")
        await trio.sleep_forever()

    app = rb.App("bank", actors=[Account], children=[rb.Child("one", one), rb.Child("two", two)])
    async with rb.open_runtime(app, database=store, serve=["two"]):
        await trio.testing.wait_all_tasks_blocked()
    assert started == ["two"]


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (["acount"], r"nothing of the name 'acount'.*it has: account"),
        ([], "names nothing.*open_client"),
        ("account", "one text"),
    ],
)
def test_what_cannot_be_served_is_refused(serve: list[str] | str, words: str) -> None:
    """With what there is."""
    with pytest.raises(rb.InvalidSetting, match=words):
        rb.Runtime(BANK, serve=serve)


# ---- what functions are given ----


async def test_a_start_function_is_given_the_runtime(store: Store) -> None:
    """By name, beside what it is told to stop with."""
    told = trio.Event()

    async def web(stopping: rb.Stopping, runtime: rb.Runtime) -> None:
        assert await runtime.ask(Account, "a", Deposit(5)) == 5
        told.set()
        await stopping.wait()

    app = rb.App("bank", actors=[Account], children=[rb.Child("web", web)])
    async with rb.open_runtime(app, database=store):
        with trio.fail_after(10):
            await told.wait()


async def test_resources_are_opened_for_what_needs_them(store: Store) -> None:
    """Before it starts, once, and closed after it has ended; what nobody needs is not opened."""
    told: list[str] = []
    done = trio.Event()
    app = rb.App("bank", actors=[Account])

    @app.resource
    async def model() -> AsyncGenerator[str]:
        told.append("open")
        yield "the model"
        told.append("closed")

    @app.resource
    @asynccontextmanager
    async def unused() -> AsyncGenerator[None]:
        told.append("unused")
        yield

    @app.handler("notes")
    async def note(command: Note, turn: rb.Turn, *, model: str) -> None:
        told.append(f"{command.text} of {turn.queue} by {model}")
        done.set()

    @app.handler("more")
    async def more(command: Note, model: str) -> None:
        told.append(f"{command.text} by {model}")

    async with rb.open_runtime(app, database=store) as runtime:
        await runtime.enqueue("more", Note("two"))
        await runtime.wait_idle()
        await runtime.enqueue("notes", Note("one"))
        with trio.fail_after(10):
            await done.wait()
    assert told == ["open", "two by the model", "one of notes by the model", "closed"]
    told.clear()
    async with rb.open_runtime(app, database=store, serve=["account"]):
        pass
    assert told == []


async def test_a_resource_that_cannot_be_opened_is_named(store: Store) -> None:
    """What was opened before is closed."""
    told: list[str] = []
    app = rb.App("bank")

    @app.resource
    async def first() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            told.append("closed")

    @app.resource
    async def second() -> AsyncGenerator[int]:
        if told == []:
            raise OSError("no such host")
        yield 2

    @app.handler("notes")
    async def note(command: Note, *, first: int, second: int) -> None: ...

    with pytest.raises(rb.ResourceFailed, match=r"resource 'second' of app 'bank'.*no such host"):
        async with rb.open_runtime(app, database=store):
            pass
    assert told == ["closed"]


def test_a_handler_that_needs_what_is_not_there_is_refused() -> None:
    """At the start, with the remedy."""
    app = rb.App("bank")

    @app.handler("notes")
    async def note(command: Note, *, http: object) -> None: ...

    with pytest.raises(rb.DefinitionError, match=r"note needs 'http'.*@app.resource"):
        rb.Runtime(app)


async def test_a_resource_of_the_runtimes_own_name_is_refused() -> None:
    """So is one that takes something, and one that opens nothing."""
    app = rb.App("bank")

    async def runtime() -> AsyncGenerator[int]:
        yield 1

    async def taking(url: str) -> AsyncGenerator[str]:
        yield url

    async def nothing() -> None: ...

    async def twice() -> AsyncGenerator[int]:
        yield 1

    for function, words in ((runtime, "cannot have this name"), (taking, "takes url"), (nothing, "yields")):
        with pytest.raises(rb.DefinitionError, match=words):
            app.resource(function)
    app.resource(twice)
    with pytest.raises(rb.DefinitionError, match="has a resource 'twice' already"):
        app.resource(twice)


async def test_a_turn_offers_the_client(store: Store) -> None:
    """It asks and reads; what it sends is committed at once, and not with the turn."""
    told, done = list[int](), trio.Event()
    app = rb.App("bank", actors=[Account])

    @app.handler("notes", retry=rb.Retry(attempts=1))
    async def note(command: Note, turn: rb.Turn) -> None:
        told.append(await turn.client.ask(Account, "a", Deposit(5)))
        done.set()
        raise ValueError(command.text)

    async with rb.open_runtime(app, database=store) as runtime:
        await runtime.enqueue("notes", Note("one"))
        with trio.fail_after(10):
            await done.wait()
        await runtime.wait_idle()
        assert (await runtime.read(Account, "a")).balance == 5
    assert told == [5]


# ---- bundles ----


async def test_an_app_includes_what_a_module_brings(store: Store) -> None:
    """Its actors, handlers, routes and resources."""
    heard, done = list[str](), trio.Event()
    bundle = rb.Bundle("desk", actors=[Account])

    @bundle.resource
    async def pen() -> AsyncGenerator[str]:
        yield "pen"

    @bundle.handler("notes")
    async def note(command: Note, *, pen: str) -> None:
        heard.append(f"{command.text} by {pen}")
        done.set()

    app = rb.App("bank")
    app.include(bundle)
    async with rb.open_runtime(app, database=store) as runtime:
        assert await runtime.ask(Account, "a", Deposit(5)) == 5
        await runtime.enqueue("notes", Note("one"))
        with trio.fail_after(10):
            await done.wait()
    assert heard == ["one by pen"]


def test_a_bundle_that_clashes_is_refused() -> None:
    """With the name that is taken, or the bundle that is there already."""
    bundle = rb.Bundle("desk", actors=[Account])
    app = rb.App("bank")
    app.include(bundle)
    with pytest.raises(rb.DefinitionError, match="bundle 'desk' is included in app 'bank' already"):
        app.include(bundle)
    with pytest.raises(rb.DefinitionError, match="'account' is the name of actor"):
        app.include(rb.Bundle("other", actors=[Account]))
