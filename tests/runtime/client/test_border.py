"""What comes in is made plain where it comes in, and what is wrong with it falls on who brought it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from enum import Enum
from typing import Any

import pytest
import trio
from attrs import define, frozen

import rolebook as rb
from rolebook.runtime import Runtime
from rolebook.runtime.contract import EventRow, Store
from rolebook.testing import given
from tests.runtime.apps import Account, Deposit, Note, Transfer, diary
from tests.stores import event_row, finished, open_process


class City(str, Enum):  # noqa: UP042 - the kind that has its name as its text
    ROME = "rome"
    OSLO = "oslo"


class Odd(str):
    """A text that shows itself as another."""

    __slots__ = ()

    def __str__(self) -> str:
        return "odd"


@rb.event("border.seen")
@frozen
class Seen:
    key: str
    exact: bool


@rb.command("border.look")
@frozen
class Look(rb.Command[tuple[str, bool]]):
    pass


@rb.actor("border")
@define
class Border:
    @rb.decide
    def look(self, command: Look, turn: rb.DecideTurn) -> rb.Effects[tuple[str, bool]]:
        exact = type(turn.key) is str and all(type(each) is str for each in turn.headers.values())
        yield Seen(turn.key, exact)
        return turn.headers.get("rome", ""), exact

    @rb.apply
    def seen(self, event: Seen) -> None:
        pass


@pytest.fixture
async def runtime(store: Store) -> AsyncGenerator[Runtime]:
    app = rb.App("app", actors=[Border, Account, diary()])

    @app.handler("mail")
    async def mail(command: Note) -> None:
        pass

    async with rb.open_runtime(app, database=store) as opened:
        yield opened


@pytest.mark.parametrize("key", [City.ROME, Odd("rome")], ids=["enum", "subclass"])
async def test_a_text_of_another_class(runtime: Runtime, key: str) -> None:
    """As key, name, header and idempotency key: it is the text that it holds, for a tell and for an ask."""
    headers = {key: City.OSLO}
    assert await runtime.ask("border", key, Look(), headers=headers, idempotency_key=key) == ("oslo", True)
    assert await runtime.ask(Odd("border"), "rome", Look(), headers=headers, idempotency_key="rome") == (
        "oslo",
        True,
    )
    await runtime.tell("border", key, Look(), headers=headers)
    await runtime.tell(Odd("border"), key, Look(), idempotency_key=Odd("two"), delay=0.0)
    await runtime.enqueue(Odd("mail"), Note(1), key=key, headers=headers)
    await runtime.wait_idle()
    events = [each.event async for each in runtime.events("border", key)]
    assert [Seen("rome", exact=True)] * 3 == events
    assert list(await runtime.read_many(Border, [key, Odd("other")])) == ["rome", "other"]
    assert await runtime.dead_letters() == []


def test_effects_hold_plain_texts() -> None:
    """And so does the turn of a test."""
    tell = rb.Tell(Odd("border"), City.ROME, Look(), headers={City.ROME: Odd("x")})
    enqueue = rb.Enqueue(Odd("mail"), Note(1), key=City.ROME)
    texts = [tell.queue, tell.key, *tell.headers, *tell.headers.values(), enqueue.queue, enqueue.key]
    assert [(str, each) for each in ("border", "rome", "rome", "x", "mail", "rome")] == [
        (type(each), each) for each in texts
    ]
    given(Border).when(Look(), key=City.ROME).then(Seen("rome", exact=True))


async def test_what_raises_while_a_batch_is_built_falls_on_its_turn(store: Store) -> None:
    """The database is never asked, and the writer goes on: the others of the batch are committed."""
    wrong: Any = object()
    bomb = EventRow("account", "a", 1, "happened", 1, wrong, "{}")
    bad, good = finished(events=[bomb]), finished(events=[event_row(1, "b")])
    async with open_process(store) as one:
        with trio.fail_after(10):
            result = await one.writer.commit([bad, good], [], None)
            assert "BadData" in type(result).__name__
            await one.commit(good)
        assert (await store.load("account", 1, {"b": None}, 5))["b"].newest == 1


@pytest.mark.parametrize("way", ["tell", "send", "ask", "enqueue"])
async def test_what_nobody_takes_is_refused(runtime: Runtime, way: str) -> None:
    """Where the app knows the actor or the queue, at once, and with the list of what it takes."""
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "tell": lambda: runtime.tell(Account, "a", Note(1)),
        "send": lambda: runtime.send(rb.Tell(Account, "a", Deposit(1)), rb.Tell(Account, "a", Note(1))),
        "ask": lambda: runtime.ask(Account, "a", Note(1)),
        "enqueue": lambda: runtime.enqueue("mail", Deposit(1)),
    }
    with pytest.raises(rb.EffectError, match=r"it decides Deposit, Transfer|takes Note, not Deposit"):
        await ways[way]()
    assert await runtime.depths() == {"border": 0, "account": 0, "diary": 0, "mail": 0}


async def test_what_an_actor_sends_and_nobody_takes_fails_its_turn() -> None:
    """It is a mistake in the program: the message is a dead letter at once."""

    @rb.actor("sender")
    @define
    class Sender:
        @rb.decide
        def give(self, command: Transfer) -> rb.Effects[int]:
            yield rb.Tell("account", command.to, Note(1))
            return 1

    app = rb.App("app", actors=[Sender, Account])
    async with rb.open_runtime(app, database="memory:") as runtime:
        await runtime.tell(Sender, "a", Transfer("b", 1))
        await runtime.wait_idle()
        (letter,) = await runtime.dead_letters()
    assert letter.attempts == 1
    assert "actor 'account' has no @decide for Note; it decides Deposit, Transfer" in letter.error


async def test_to_wait_idle_in_a_handler_is_refused() -> None:
    """It would wait for itself; in a task of the handler's own nursery too."""
    app, told = rb.App("app"), list[str]()
    opened: list[Runtime] = []

    @app.handler("mail", retry=rb.Retry(attempts=1))
    async def mail(command: Note) -> None:
        try:
            if command.number == 1:
                await opened[0].wait_idle()
            else:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(opened[0].wait_idle)
        except* rb.RolebookError as errors:
            told.append(str(errors.exceptions[0]))

    async with rb.open_runtime(app, database="memory:") as runtime:
        opened.append(runtime)
        await runtime.enqueue("mail", Note(1))
        await runtime.enqueue("mail", Note(2))
        with trio.fail_after(10):
            await runtime.wait_idle()
    assert ["would wait for itself" in each for each in told] == [True, True]
