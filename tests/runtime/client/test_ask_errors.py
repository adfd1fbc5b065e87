"""What an asker is told of an error does not depend on which process the actor runs in."""

import pickle
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, frozen

import rolebook as rb
from rolebook.runtime import Runtime
from rolebook.runtime.contract import Store
from tests.runtime.apps import QUICK


@rb.rejection("teller.overdrawn", version=2, upcast={1: lambda old: {"missing": old["lacks"], "since": []}})
@define
class Overdrawn(rb.Rejected):
    missing: int
    since: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.missing} are missing"


@rb.rejection("teller.stranger")
@define
class Stranger(rb.Rejected):
    """One that the app does not know."""

    name: str

    def __str__(self) -> str:
        return f"who is {self.name}?"


class Plain(rb.Rejected):
    """One without a name."""


@rb.command("teller.do")
@frozen
class Do(rb.Command[int]):
    what: str


@rb.event("teller.done")
@frozen
class Done:
    pass


def unstorable() -> Overdrawn:
    wrong: Any = object()
    return Overdrawn(1, wrong)


ERRORS: dict[str, Callable[[], BaseException]] = {
    "plain": lambda: rb.Rejected("not today"),
    "overdrawn": lambda: Overdrawn(5, ("monday",)),
    "stranger": lambda: Stranger("Bob"),
    "subclass": lambda: Plain("no"),
    "unstorable": unstorable,
    "value": lambda: ValueError("broken"),
    "exit": lambda: SystemExit(3),
    "effect": lambda: rb.EffectError("of ours"),
}


@rb.actor("teller", retry=QUICK)
@define
class Teller:
    @rb.decide
    def do(self, command: Do) -> rb.Effects[int]:
        if command.what in ERRORS:
            error = ERRORS[command.what]()
            raise error
        if command.what == "reply":
            wrong: Any = "five"
            return wrong  # type: ignore[no-any-return]
        yield Done()
        return 1

    @rb.apply
    def done(self, event: Done) -> None:
        pass


@rb.actor("teller", retry=QUICK)
@define
class Unreadable:
    """The same actor, that cannot replay what is stored."""

    @rb.decide
    def do(self, command: Do) -> rb.Effects[int]:
        yield Done()
        return 1

    @rb.apply
    def done(self, event: Done) -> None:
        raise ValueError("cannot")


SETTINGS = rb.Settings(poll_interval=0.2, take_interval=0.05)


@asynccontextmanager
async def both_sides(store: Store, actor: type) -> AsyncGenerator[tuple[Runtime, Runtime]]:
    """The owner of the actors, and another process of the same app."""
    app = rb.App("app", actors=[actor], messages=[Overdrawn])
    async with (
        rb.open_runtime(app, database=store, settings=SETTINGS, process="owner") as owner,
        rb.open_runtime(app, database=store, settings=SETTINGS, process="other") as other,
    ):
        yield owner, other


async def told(runtime: Runtime, what: str, once: str | None = None) -> Exception:
    with pytest.raises(rb.RolebookError) as caught:
        await runtime.ask("teller", "a", Do(what), idempotency_key=once)
    return caught.value


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        ("plain", rb.Rejected, "not today"),
        ("overdrawn", Overdrawn, "5 are missing"),
        ("stranger", rb.Rejected, "who is Bob?"),
        ("subclass", rb.Rejected, "no"),
        ("unstorable", rb.Rejected, "1 are missing"),
        ("value", rb.AskFailed, "ValueError: broken"),
        ("exit", rb.AskFailed, "sys.exit(3)"),
        ("effect", rb.AskFailed, "EffectError: of ours"),
        ("reply", rb.AskFailed, "is answered with int"),
    ],
)
async def test_the_same_from_both_sides(store: Store, what: str, kind: type[Exception], text: str) -> None:
    """Type, text and data; with an idempotency key too, where a refusal is kept."""
    async with both_sides(store, Teller) as (owner, other):
        here, there = await told(owner, what), await told(other, what)
        again = [await told(each, what, "once") for each in (owner, other, owner)]
    for error in (here, there, *again):
        assert type(error) is kind
        assert text in str(error)
        if isinstance(error, Overdrawn):
            assert (5, ("monday",), "5 are missing") == (error.missing, error.since, error.reason)


async def test_a_broken_actor_is_unavailable_from_both_sides(store: Store) -> None:
    """As itself, with the reason."""
    async with both_sides(store, Teller) as (owner, _):
        assert await owner.ask("teller", "a", Do("well")) == 1
    async with both_sides(store, Unreadable) as (owner, other):
        for asker in (owner, other):
            error = await told(asker, "well")
            assert type(error) is rb.ActorUnavailable
            assert "event 1 of teller/a" in str(error)


async def test_who_does_not_know_a_refusal_is_told_its_text(store: Store) -> None:
    """An app without the class, as one that was deployed before, gets a plain refusal."""
    newer, older = rb.App("app", actors=[Teller], messages=[Overdrawn]), rb.App("app", actors=[Teller])
    async with (
        rb.open_runtime(newer, database=store, settings=SETTINGS, process="owner"),
        rb.open_runtime(older, database=store, settings=SETTINGS, process="other") as other,
    ):
        error = await told(other, "overdrawn")
    assert (rb.Rejected, "5 are missing") == (type(error), str(error))


def test_a_refusal_of_an_older_version_is_read() -> None:
    """Its upcasters are those of any message."""
    codec = rb.App("app", actors=[Teller], messages=[Overdrawn]).codec
    error = codec.decode_rejection("teller.overdrawn", 1, '{"lacks": 3}')
    assert isinstance(error, Overdrawn)
    assert (3, (), "3 are missing") == (error.missing, error.since, str(error))
    assert error.args == (3, ())


def test_a_refusal_survives_pickling() -> None:
    """As every error of ours does."""
    for error in (rb.Rejected("no"), Overdrawn(5, ("monday",))):
        same = pickle.loads(pickle.dumps(error))
        assert (type(error), error.args, str(error)) == (type(same), same.args, str(same))


def test_only_a_refusal_is_a_rejection() -> None:
    """The decorator says what is wrong."""
    with pytest.raises(rb.DefinitionError, match="Box is no subclass of Rejected"):

        @rb.rejection("teller.box")  # pyright: ignore[reportArgumentType, reportUntypedClassDecorator]
        @define
        class Box:  # type: ignore[type-var]
            pass
