"""Whatever user code raises is the failure of its turn: nothing else ends, and its neighbours are handled."""

import asyncio  # noqa: TID251 - for the error that it raises
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio
from attrs import define, frozen

import rolebook as rb
from rolebook.runtime import MemoryStore
from tests.runtime.apps import QUICK, Account
from tests.waiting import eventually


class Panic(BaseException):
    """As an extension raises it."""


def leave() -> None:
    sys.exit(3)


def panic() -> None:
    raise Panic("index out of bounds")


def cancel_of_another_loop() -> None:
    raise asyncio.CancelledError


def leave_a_generator() -> None:
    raise GeneratorExit


def kept_cancellation() -> None:
    """One of Trio's own that is over: it is nobody's cancellation any more."""
    raise KEPT[0]


KEPT = list[BaseException]()
BAD = [leave, panic, cancel_of_another_loop, leave_a_generator, kept_cancellation]


@rb.command("poison.take")
@frozen
class Take(rb.Command[None]):
    pass


@rb.event("poison.taken")
@frozen
class Taken:
    pass


@pytest.fixture(autouse=True)
def kept() -> None:
    """Keep a cancellation."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                KEPT[:] = [error]
                raise

    trio.run(main)


async def buried(runtime: rb.Runtime) -> list[tuple[str | None, int]]:
    """Wait for dead letters; return whose they are, and after how many attempts."""
    while not (letters := await runtime.dead_letters()):
        await trio.lowlevel.checkpoint()
    return [(letter.key, letter.attempts) for letter in letters]


def fragile(where: str, bad: Callable[[], None]) -> type[Any]:
    """Make a kind of actor whose decider or applier does what is bad, but to the good one."""

    @rb.actor("fragile", retry=QUICK, on_failure="skip")
    @define
    class Fragile:
        taken: int = 0

        @rb.decide
        def take(self, command: Take, turn: rb.DecideTurn) -> rb.Effects[None]:
            if turn.key != "good" and where == "decider":
                bad()
            yield Taken()

        @rb.apply
        def happened(self, event: Taken) -> None:
            self.taken += 1
            if where == "applier":
                bad()

    return Fragile


@pytest.mark.parametrize("bad", BAD)
async def test_a_decider(bad: Callable[[], None]) -> None:
    """Its message is tried as often as it may be, and is a dead letter; who asks is told."""
    app = rb.App("app", actors=[fragile("decider", bad)])
    async with rb.open_runtime(app, database=MemoryStore()) as runtime:
        await runtime.send(rb.Tell("fragile", "bad", Take()), rb.Tell("fragile", "good", Take()))
        await runtime.ask("fragile", "good", Take())
        assert [("bad", 3)] == await buried(runtime)
        with pytest.raises(rb.RolebookError):
            await runtime.ask("fragile", "bad", Take())
        (letter,) = await runtime.dead_letters()
        assert letter.error.startswith("BaseExceptionRaised: ")


@pytest.mark.parametrize("bad", BAD)
async def test_an_applier(bad: Callable[[], None]) -> None:
    """In a turn it fails that; in a replay it breaks the actor, as every error there does."""
    store = MemoryStore()
    async with rb.open_runtime(rb.App("app", actors=[fragile("nowhere", bad)]), database=store) as runtime:
        await runtime.ask("fragile", "old", Take())
    async with rb.open_runtime(rb.App("app", actors=[fragile("applier", bad)]), database=store) as runtime:
        await runtime.tell("fragile", "new", Take())
        with pytest.raises(rb.RolebookError):
            await runtime.ask("fragile", "new", Take())
        with pytest.raises(rb.ActorUnavailable, match="cannot be replayed"):
            await runtime.ask("fragile", "old", Take())
        assert [("new", 3)] == await buried(runtime)


@pytest.mark.parametrize(
    ("bad", "nursery"),
    # A nursery takes any cancellation for its own.
    [
        (bad, nursery)
        for bad in BAD
        for nursery in (False, True)
        if not (nursery and bad is kept_cancellation)
    ],
)
async def test_a_handler_of_a_queue(bad: Callable[[], None], *, nursery: bool) -> None:
    """Raised by it or by a task of its own nursery, beside others that are cancelled for it."""
    app, done = rb.App("app"), list[str]()

    @app.handler("mail", retry=QUICK, concurrency=2)
    async def mail(command: Take, turn: rb.Turn) -> None:
        if turn.key == "good":
            done.append(turn.message_id)
            return
        if not nursery:
            bad()
        async with trio.open_nursery() as tasks:
            tasks.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            bad()

    async with rb.open_runtime(app, database=MemoryStore()) as runtime:
        await runtime.send(
            rb.Enqueue("mail", Take(), key="bad"), *(rb.Enqueue("mail", Take(), key="good") for _ in range(5))
        )
        await eventually(lambda: len(done) == 5)
        assert [("bad", 3)] == await buried(runtime)


async def test_a_refusal_through_a_nursery_is_a_refusal() -> None:
    """A group that holds refusals alone is not retried, and is no dead letter."""
    app, runs = rb.App("app"), list[int]()

    async def refuse() -> None:
        raise rb.Rejected("closed")

    @app.handler("mail", retry=QUICK)
    async def mail(command: Take, turn: rb.Turn) -> None:
        runs.append(turn.attempt)
        async with trio.open_nursery() as tasks:
            tasks.start_soon(trio.sleep_forever)
            tasks.start_soon(refuse)

    async with rb.open_runtime(app, database=MemoryStore()) as runtime:
        await runtime.enqueue("mail", Take())
        await runtime.wait_idle()
        assert ([1], []) == (runs, await runtime.dead_letters())


async def test_the_end_of_the_runtime_passes() -> None:
    """A handler that is cancelled with its runtime has not failed."""
    app, begun = rb.App("app"), trio.Event()
    store = MemoryStore()

    @app.handler("mail", retry=QUICK)
    async def mail(command: Take) -> None:
        begun.set()
        async with trio.open_nursery() as tasks:
            tasks.start_soon(trio.sleep_forever)

    with trio.CancelScope() as scope:
        async with rb.open_runtime(app, database=store) as runtime:
            await runtime.enqueue("mail", Take())
            await begun.wait()
            scope.cancel()
    async with rb.open_runtime(rb.App("other", actors=[Account]), database=store) as runtime:
        assert ([], 1) == (await runtime.dead_letters(), (await store.depths(["mail"]))["mail"])
