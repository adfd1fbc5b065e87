"""Errors whose text is no text: what user code raises must never take the handler down."""

import pytest
import trio
from attrs import frozen

import rolebook as rb
from rolebook.runtime import AskFailed, Settings
from rolebook.runtime.contract import Store
from tests.runtime.apps import QUICK, Account, Note
from tests.waiting import eventually

SETTINGS = Settings(poll_interval=0.05)


class Unprintable(Exception):
    """Its text fails, as that of an exception does whose attributes were never set."""

    def __str__(self) -> str:
        raise KeyError("reason")


@rb.command("odd.fail")
@frozen
class Fail(rb.Command[int]):
    refuse: bool = False


@rb.actor("odd", retry=QUICK)
@frozen
class Odd:
    @rb.decide
    def fail(self, command: Fail) -> int:
        if command.refuse:
            raise rb.Rejected(ValueError("not today"))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # users do this
        raise Unprintable


APP = rb.App("here", actors=[Odd])
ELSEWHERE = rb.App("there", actors=[Account], messages=[Fail])


async def test_an_error_that_cannot_be_printed_is_contained(store: Store) -> None:
    """Its message is tried again and becomes a dead letter, as any; an asker in another process is told."""
    async with (
        rb.open_runtime(APP, database=store, settings=SETTINGS, process="here") as runtime,
        rb.open_runtime(ELSEWHERE, database=store, settings=SETTINGS, process="there") as other,
    ):
        with trio.fail_after(60):
            await runtime.tell(Odd, "a", Fail())
            with pytest.raises(AskFailed, match=r"Unprintable \(its text raised KeyError\)"):
                await other.ask("odd", "b", Fail())

            async def buried() -> bool:
                return len(await runtime.dead_letters("odd")) == 1

            await eventually(buried)
        (letter,) = await runtime.dead_letters("odd")
    assert letter.attempts == 3
    assert letter.error.startswith("Unprintable")


async def test_a_handlers_error_that_cannot_be_printed_is_contained(store: Store) -> None:
    """A queue's handler may raise it too."""
    app = rb.App("app")

    @app.handler("mail", retry=QUICK)
    async def mail(_: Note) -> None:
        raise Unprintable

    async with rb.open_runtime(app, database=store, settings=SETTINGS) as runtime:
        with trio.fail_after(60):
            await runtime.enqueue("mail", Note(1))

            async def buried() -> bool:
                return len(await runtime.dead_letters("mail")) == 1

            await eventually(buried)
        (letter,) = await runtime.dead_letters("mail")
    assert letter.attempts == 3
    assert letter.error.startswith("Unprintable")


async def test_an_error_as_the_reason_of_a_refusal_is_its_text(store: Store) -> None:
    """`Rejected(error)` refuses with the error's text, also where the refusal is stored."""
    async with (
        rb.open_runtime(APP, database=store, settings=SETTINGS, process="here") as runtime,
        rb.open_runtime(ELSEWHERE, database=store, settings=SETTINGS, process="there") as other,
    ):
        with trio.fail_after(60):
            for asker, key in ((runtime, None), (other, None), (runtime, "one"), (other, "one")):
                with pytest.raises(rb.Rejected) as caught:
                    await asker.ask("odd", "a", Fail(refuse=True), idempotency_key=key)
                assert caught.value.reason == "not today"
