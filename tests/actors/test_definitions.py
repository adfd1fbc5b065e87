"""Definitions: what decorators accept, and how each mistake is named."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import attrs
import pytest
from attrs import define, field, frozen

import rolebook as rb
from rolebook.actors import definition_of

from . import bank
from .bank import Account, Deposit, Deposited, Look, SendReceipt, Transfer, Withdraw, Withdrawn


def test_definition_lists_deciders_and_appliers() -> None:
    """Every command and event named in an annotation is found, unions member by member."""
    definition = definition_of(Account)
    assert set(definition.deciders) == {Deposit, Withdraw, Transfer, Look}
    assert set(definition.appliers) == {Deposited, Withdrawn}
    assert definition.deciders[Transfer].takes_turn
    assert not definition.deciders[Deposit].takes_turn
    assert definition.name == "account"
    assert definition.initial() == Account()
    assert definition.snapshots


def test_definition_is_made_once() -> None:
    """The definition of a class is one value."""
    assert definition_of(Account) is definition_of(Account)


def test_subclass_of_an_actor_is_no_actor() -> None:
    """A name belongs to the class it was given to."""

    @define
    class Child(Account):
        pass

    with pytest.raises(rb.DefinitionError, match="Child is no actor"):
        rb.App("bank", actors=[Child])


def test_deciders_are_inherited_and_overridden() -> None:
    """An actor takes the methods of its bases; an overriding method replaces the one it overrides."""

    @define
    class Base:
        seen: int = 0

        @rb.decide
        def look(self, command: Look) -> int:
            return self.seen

        @rb.decide
        def deposit(self, command: Deposit) -> int:
            return 1

    @rb.actor("child")
    @define
    class Child(Base):
        @rb.decide
        def deposit(self, command: Deposit) -> int:
            return 2

    definition = definition_of(Child)
    assert definition.deciders[Deposit].name.endswith("Child.deposit")
    assert Look in definition.deciders


def _two_deciders() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: Look) -> int:
            return 1

        @rb.decide
        def two(self, command: Look) -> int:
            return 2

    return A


def _two_appliers() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.apply
        def one(self, event: Deposited) -> None: ...

        @rb.apply
        def two(self, event: Deposited) -> None: ...

    return A


def _async_decider() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        async def one(self, command: Look) -> int:
            return 1

    return A


def _async_generator_decider() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        async def one(self, command: Look) -> Any:
            yield Deposited(1)

    return A


def _generator_applier() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.apply
        def one(self, event: Deposited) -> Any:
            yield 1

    return A


def _decider_of_an_event() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: Deposited) -> int:
            return 1

    return A


def _decider_without_annotation() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command) -> int:  # type: ignore[no-untyped-def] # pyright: ignore # noqa: ANN001, PGH003
            return 1

    return A


def _unresolvable_annotation() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: "Nowhere") -> int:  # type: ignore[name-defined] # pyright: ignore # noqa: F821, PGH003
            return 1

    return A


def _annotation_is_no_class() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: list[int]) -> int:
            return 1

    return A


def _applier_of_a_plain_class() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.apply
        def one(self, event: int) -> None: ...

    return A


def _too_many_parameters() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: Look, turn: rb.DecideTurn, more: int) -> int:
            return 1

    return A


def _event_without_applier() -> type:
    @rb.actor("a")
    @define
    class A:
        busy: bool = False

        @rb.decide
        def one(self, command: Look) -> rb.Effects[int]:
            if self.busy:
                yield Deposited(1)
            return 1

    return A


def _plain_class_yielded() -> type:
    @frozen
    class Plain:
        pass

    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: Look) -> rb.Effects[int]:
            yield Plain()
            return 1

    return A


def _command_yielded() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: Look) -> rb.Effects[int]:
            yield bank.Look()
            return 1

    return A


def _field_without_default() -> type:
    @rb.actor("a")
    @define
    class A:
        balance: int

    return A


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_two_deciders, r"A\.one and .*A\.two both decide Look; keep one"),
        (_two_appliers, r"Deposited has another @apply"),
        (_async_decider, r"A\.one is async; a turn is pure"),
        (_async_generator_decider, r"A\.one is async"),
        (_generator_applier, r"an applier is a plain method"),
        (_decider_of_an_event, r"takes Deposited, which is no command; write @command"),
        (_decider_without_annotation, r"annotate 'command'"),
        (_unresolvable_annotation, r"'Nowhere' of 'command' cannot be resolved"),
        (_annotation_is_no_class, r"annotate it with a class"),
        (_applier_of_a_plain_class, r"takes int, which is no event; write @event"),
        (_too_many_parameters, r"a decider takes \(self, command\) or \(self, command, turn\)"),
        (_event_without_applier, r"A\.one yields Deposited, but there is no @apply for it"),
        (_plain_class_yielded, r"A\.one yields .*Plain, which is no event and no effect; write @event"),
        (_command_yielded, r"A\.one yields Look itself, a command; yield Tell"),
        (_field_without_default, r"A\.balance has no default"),
    ],
)
def test_mistakes_fail_when_the_app_is_built(make: Callable[[], type], message: str) -> None:
    """Each mistake in an actor is an error of the app, with the name of the thing and the remedy."""
    cls = make()
    with pytest.raises(rb.DefinitionError, match=message) as caught:
        rb.App("app", actors=[cls])
    assert "actor 'a'" in str(caught.value)


@pytest.mark.parametrize("name", ["", " ", "a b", 'a"b', "a'b", "a\0b", "a;b", "ä", "a/b", "x" * 64, None, 7])
def test_bad_names_are_refused(name: Any) -> None:
    """A stored name is 1 to 63 of a few safe characters."""
    for decorator in (rb.event, rb.command, rb.actor):
        with pytest.raises(rb.DefinitionError, match=r"no name for|too long"):
            decorator(name)
    with pytest.raises(rb.DefinitionError):
        rb.App(name)


@pytest.mark.parametrize("name", ["a", "account.deposited", "A-b_c:d.9", "x" * 63])
def test_good_names_are_taken(name: str) -> None:
    """Letters, digits and a few signs make a name."""
    assert rb.App(name).name == name


def test_plain_and_data_classes_are_refused() -> None:
    """Events, commands and actors are attrs classes, and the decorator goes above attrs'."""

    class Plain:
        pass

    @dataclass
    class Data:
        pass

    @frozen
    class Attrs:
        pass

    class Derived(Attrs):
        pass

    for cls in (Plain, Data, Derived):
        with pytest.raises(rb.DefinitionError, match=r"is no attrs class; write @event\(...\) above"):
            rb.event("thing")(cls)
        with pytest.raises(rb.DefinitionError, match=r"is no attrs class; write @actor\(...\) above"):
            rb.actor("thing")(cls)


def test_inner_generators_are_not_taken_for_the_decider() -> None:
    """What they yield is the decider's own business; events of other actors may be named."""

    @rb.event("elsewhere.done")
    @frozen
    class Elsewhere:
        pass

    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: Look) -> rb.Effects[int]:
            def inner() -> rb.Effects[None]:
                yield Elsewhere()

            yield rb.Stop()
            return len(list(inner()))

    assert definition_of(A).appliers == {}


def test_one_class_has_one_name() -> None:
    """A class cannot be an event and a command, nor be named twice."""
    with pytest.raises(rb.DefinitionError, match=r"Deposited is event 'account\.deposited' already"):
        rb.command("other")(Deposited)


@pytest.mark.parametrize("version", [0, -1, 1.0, True, "1", None, 32_768, 20260101])
def test_bad_versions_are_refused(version: Any) -> None:
    """Versions count up from 1, to what the database's column can hold."""
    with pytest.raises(rb.DefinitionError, match="count up from 1"):
        rb.event("thing", version=version)


@pytest.mark.parametrize("steps", [(1,), (2, 4), (1, 3), (0, 1, 2, 3), (4,), (5,), ("3",), (None, 3)])
def test_chain_of_upcasters_has_no_hole(steps: tuple[Any, ...]) -> None:
    """Upcasters lead from the oldest version they know to today's, one step each."""
    with pytest.raises(rb.DefinitionError, match="give one for each version"):
        rb.event("thing", version=4 if 4 not in steps else 3, upcast=dict.fromkeys(steps, dict))


def test_one_text_is_no_list_of_aliases() -> None:
    """`aliases="old"` would be three aliases of one letter."""
    with pytest.raises(rb.DefinitionError, match="aliases is a tuple"):
        rb.event("thing", aliases="old")


def test_actors_have_no_aliases() -> None:
    """The error says how an actor is renamed."""
    with pytest.raises(rb.DefinitionError, match=r"rename_actor\('old', 'new'\)"):
        rb.actor("thing", aliases=("old",))


@pytest.mark.parametrize(
    "settings",
    [
        {"on_failure": "explode"},
        {"snapshot_every": 0},
        {"snapshot_keep": 0},
        {"passivate_after": 0},
        {"passivate_after": float("nan")},
        {"state_version": 0},
        {"state_version": 3, "state_upcast": {1: dict}},
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    """Settings are checked where they are written."""
    with pytest.raises(rb.DefinitionError, match="actor 'thing'"):
        rb.actor("thing", **settings)


def test_retry_needs_an_attempt() -> None:
    """A message is tried at least once."""
    with pytest.raises(rb.DefinitionError, match="at least once"):
        rb.Retry(attempts=0)


def test_snapshots_of_a_state_that_cannot_be_stored_are_refused() -> None:
    """With snapshots on, every field of the state must be storable; without, any will do."""

    @define
    class State:
        anything: object = field(factory=object)

    with pytest.raises(
        rb.DefinitionError, match=r"the state of actor 'a': .*State\.anything cannot be stored"
    ):
        rb.App("app", actors=[rb.actor("a", snapshot_every=5)(State)])

    @rb.actor("b")
    @define
    class Free:
        anything: object = field(factory=object)

    rb.App("app", actors=[Free])


def test_receipt_is_known_by_its_name() -> None:
    """A handler's command needs no actor."""
    app = rb.App("mail")

    @app.handler("mail")
    async def handle(command: SendReceipt) -> None: ...

    assert app.handlers["mail"].commands == (SendReceipt,)
    assert not app.handlers["mail"].takes_turn


def test_a_default_that_all_would_share_is_refused() -> None:
    """One actor's list would be every actor's, and one event's every event's; dataclasses refuse it too."""
    shared: list[int] = []

    @rb.actor("sharing")
    @define
    class Sharing:
        numbers: list[int] = shared

    with pytest.raises(rb.DefinitionError, match=r"Sharing\.numbers has a default .*factory=list"):
        rb.App("app", actors=[Sharing])
    with pytest.raises(rb.DefinitionError, match=r"event 'shared': .*\.numbers has a default that all share"):
        rb.event("shared")(attrs.make_class("Shared", {"numbers": field(type=list[int], default=shared)}))


def test_an_applier_that_returns_a_new_state_is_refused() -> None:
    """Its result would be thrown away, and the event have no effect."""

    @rb.actor("evolving")
    @define
    class Evolving:
        balance: int = 0

        @rb.apply
        def deposited(self, event: Deposited) -> "Evolving":
            return attrs.evolve(self, balance=self.balance + event.amount)

    with pytest.raises(rb.DefinitionError, match=r"Evolving\.deposited: what an applier returns"):
        rb.App("app", actors=[Evolving])
