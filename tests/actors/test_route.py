"""Routes: what may be one, and what it sends."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from attrs import define, frozen

import rolebook as rb
from rolebook.actors import routed
from rolebook.testing import PurityError, given

from .bank import Account, Deposit, Deposited, SendReceipt, Withdraw, Withdrawn

COUNTER = count()


@rb.command("teller.note")
@frozen
class Note(rb.Command[None]):
    account: str
    amount: int


@rb.event("teller.noted")
@frozen
class Noted:
    amount: int


@rb.actor("teller")
@define
class Teller:
    total: int = 0

    @rb.decide
    def note(self, command: Note) -> rb.Effects[None]:
        yield Noted(command.amount)

    @rb.apply
    def noted(self, event: Noted) -> None:
        self.total += event.amount


def bank() -> rb.App:
    return rb.App("bank", actors=[Account, Teller])


def turn() -> rb.DecideTurn:
    return rb.DecideTurn("account", "alice", "message-1", datetime(2013, 1, 1, tzinfo=UTC))


def test_route_sends_with_the_turn() -> None:
    """With the app given, a case has what the routes send, after what the decider sent."""
    app = bank()

    @app.route
    def note(event: Deposited, turn: rb.DecideTurn) -> rb.Tell:
        return rb.Tell(Teller, "anna", Note(turn.key, event.amount))

    case = given(Account, app=app).when(Deposit(5), key="alice")
    case.sends(rb.Enqueue("mail", SendReceipt(5)), rb.Tell(Teller, "anna", Note("alice", 5)))
    case.when(Deposit(6), key="bob").sends(
        rb.Enqueue("mail", SendReceipt(6)), rb.Tell(Teller, "anna", Note("bob", 6))
    )
    given(Account).when(Deposit(5)).sends(rb.Enqueue("mail", SendReceipt(5)))


def test_several_routes_and_several_messages() -> None:
    """A route takes a union and returns none, one or several messages; routes run as they were registered."""
    app = bank()

    @app.route
    def big(event: Deposited | Withdrawn) -> rb.Tell | None:
        return rb.Tell(Teller, "big", Note("x", event.amount)) if event.amount > 10 else None

    @app.route
    def twice(event: Deposited) -> Iterator[rb.Tell | rb.Enqueue]:
        yield rb.Tell("teller", "one", Note("x", event.amount))
        yield rb.Enqueue("mail", SendReceipt(event.amount))

    account = given(Account, Deposited(100), app=app)
    account.when(Withdraw(5)).sends()
    account.when(Withdraw(50)).sends(rb.Tell(Teller, "big", Note("x", 50)))
    assert [each.key for each in account.when(Deposit(50)).sent] == [None, "big", "one", None]


def test_refused_turn_is_not_routed() -> None:
    """What did not happen is told to nobody."""
    app = bank()

    @app.route
    def note(event: Withdrawn) -> rb.Tell:
        return rb.Tell(Teller, "anna", Note("alice", event.amount))

    case = given(Account, app=app).when(Withdraw(5)).rejected("not enough money")
    assert case.sent == []


def test_impure_route_is_named() -> None:
    """A route is run twice, as a decider is."""
    app = bank()

    @app.route
    def note(event: Deposited) -> rb.Tell:
        return rb.Tell(Teller, "anna", Note(str(next(COUNTER)), event.amount))

    with pytest.raises(PurityError, match="sent something else") as caught:
        given(Account, app=app).when(Deposit(5))
    assert caught.value.culprit.endswith("note")


def test_route_to_somebody_who_does_not_decide_it_fails_its_test() -> None:
    """What the text of the route does not tell, its first case does."""
    app = bank()
    target = Teller

    @app.route
    def note(event: Deposited) -> rb.Tell:
        command: Any = SendReceipt(event.amount)
        return rb.Tell(target, "anna", command)

    with pytest.raises(AssertionError, match=r"Teller is told SendReceipt\(amount=5\), which it has no @dec"):
        given(Account, app=app).when(Deposit(5))


def test_wrong_parameters_are_refused() -> None:
    """A route says which events it takes."""

    def silent(event) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001 # pyright: ignore[reportUnknownParameterType, reportMissingParameterType] # what is tested

    def nothing() -> None: ...

    with pytest.raises(rb.DefinitionError, match="silent: annotate 'event'"):
        bank().route(silent)  # pyright: ignore[reportUnknownArgumentType] # as above
    with pytest.raises(rb.DefinitionError, match=r"takes \(event\) or \(event, turn\)"):
        bank().route(nothing)


def test_wrong_routes_are_refused_when_the_app_is_built() -> None:
    """Async, no event, an event that nobody has, a command that its target does not decide."""
    app = bank()

    async def waits(event: Deposited) -> None: ...

    def commanded(event: Deposit) -> None: ...

    def never(event: Noted) -> None: ...

    def astray(event: Deposited) -> rb.Tell:
        return rb.Tell(Teller, key="x", command=SendReceipt(event.amount))

    wrong: list[tuple[Any, str]] = [
        (waits, "waits is async; a route is pure"),
        (commanded, "takes Deposit, which is no event"),
        (astray, "astray tells Teller SendReceipt, but it has no @decide for that; it decides Note"),
    ]
    for function, match in wrong:
        with pytest.raises(rb.DefinitionError, match=match):
            app.route(function)
    with pytest.raises(rb.DefinitionError, match="no actor of the app has an @apply for it"):
        rb.App("bank", actors=[Account]).route(never)
    assert dict(app.routes) == {}


def test_route_that_returns_no_message_or_refuses_is_an_error() -> None:
    """Neither is retried: the turn would fail in the same way again."""
    app = bank()

    @app.route
    def wrong(event: Deposited) -> Any:
        return event

    @app.route
    def refusing(event: Withdrawn) -> None:
        raise rb.Rejected("no")

    with pytest.raises(rb.EffectError, match=r"wrong returned Deposited\(amount=5\)"):
        routed(app.routes, [Deposited(5)], turn())
    given(Account, Deposited(5), app=app).when(Withdraw(5)).fails(
        rb.EffectError, "refusing raised Rejected: no"
    )
