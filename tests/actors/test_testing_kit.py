"""The testing kit, tested: it accepts what is right, and shows what is wrong."""

import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest
from attrs import define, field, frozen

import rolebook as rb
from rolebook.actors import definition_of
from rolebook.actors.testing import rebuild
from rolebook.testing import Case, PurityError, differences, given

from .bank import Account, Deposit, Deposited, Look, SendReceipt, Transfer, Withdraw, Withdrawn
from .basket import Added, Basket, Fill, Filled, Show, Told

COUNTER = itertools.count()
Check: TypeAlias = Callable[[Case[Any]], object]


def test_turn_is_described_from_history_to_reply() -> None:
    """The whole of a case."""
    case = (
        given(Account, Deposited(5), Withdrawn(1))
        .when(Deposit(10))
        .then(Deposited(10))
        .sends(rb.Enqueue("mail", SendReceipt(10)))
        .replies(14)
        .leaves(Account(balance=14))
    )
    assert (case.events, case.reply, case.error) == ([Deposited(10)], 14, None)


def test_case_goes_on_from_its_events() -> None:
    """What was decided is the history of the next turn; what was refused is not."""
    case = given(Account).when(Deposit(10)).when(Withdraw(20)).rejected("not enough money")
    case.when(Look()).replies(10)


def test_refusal_leaves_the_state_as_it_was() -> None:
    """A void turn has no events, no messages and no reply."""
    case = given(Account, Deposited(1)).when(Withdraw(2)).rejected("not enough money")
    assert (case.events, case.sent, case.reply, case.state) == ([], [], None, Account(1))


def test_messages_may_be_written_in_different_ways() -> None:
    """An actor by class or name, a delay in seconds or as a timedelta."""

    @rb.actor("sender")
    @define
    class Sender:
        @rb.decide
        def look(self, command: Look) -> rb.Effects[int]:
            yield rb.Tell(Account, "a", Look(), delay=timedelta(minutes=1))
            yield rb.Stop()
            return 1

    given(Sender).when(Look()).sends(rb.Tell("account", "a", Look(), delay=60)).stops()
    given(Account).when(Transfer(1, "bob"), key="alice").sends(
        rb.Tell(Account, "bob", Deposit(1), headers={"from": "alice"})
    )


def test_differences_are_shown_field_by_field() -> None:
    """Which value, what was expected, and what was there."""
    with pytest.raises(AssertionError) as caught:
        given(Account).when(Deposit(10)).then(Deposited(11), Withdrawn(1))
    assert str(caught.value) == (
        "other events were decided:\n"
        "  events[0].amount: expected 11, got 10\n"
        "  events[1]: missing Withdrawn(amount=1)"
    )


WRONG: list[tuple[Check, str]] = [
    (lambda case: case.then(), r"events\[0\]: unexpected Deposited\(amount=10\)"),
    (
        lambda case: case.then(Withdrawn(10)),
        r"events\[0\]: expected Withdrawn\(amount=10\), got Deposited",
    ),
    (lambda case: case.replies(11), r"the reply is another:\n  reply: expected 11, got 10"),
    (lambda case: case.replies(10.0), r"reply: expected float 10.0, got int 10"),
    (lambda case: case.sends(), r"sends\[0\]: unexpected"),
    (
        lambda case: case.sends(rb.Enqueue("post", SendReceipt(10))),
        r"\['queue'\]: expected 'post', got 'mail'",
    ),
    (
        lambda case: case.sends(rb.Enqueue("mail", SendReceipt(9))),
        r"\['command'\]\.amount: expected 9, got 10",
    ),
    (lambda case: case.leaves(Account(9)), r"Account\.balance: expected 9, got 10"),
    (lambda case: case.rejected(), r"expected Rejected, but the decider decided"),
    (lambda case: case.fails(ValueError), r"expected ValueError, but the decider decided"),
    (lambda case: case.stops(), r"did not yield Stop"),
]


@pytest.mark.parametrize(("check", "message"), WRONG)
def test_wrong_expectations_fail(check: Check, message: str) -> None:
    """Every assertion can fail, and says why."""
    case = given(Account).when(Deposit(10))
    with pytest.raises(AssertionError, match=message):
        check(case)


WRONG_OF_A_REFUSAL: list[tuple[Check, str]] = [
    (lambda case: case.then(), r"the decider raised Rejected: amount must be positive"),
    (lambda case: case.replies(None), r"the decider raised Rejected"),
    (lambda case: case.sends(), r"the decider raised Rejected"),
    (lambda case: case.stops(), r"the decider raised Rejected"),
    (
        lambda case: case.rejected("too poor"),
        r"reason: expected 'too poor', got 'amount must be positive'",
    ),
    (lambda case: case.fails(ValueError), r"expected ValueError, but the decider raised Rejected"),
    (lambda case: case.fails(rb.Rejected, "poor"), r"'poor' is not found in 'amount must be positive'"),
]


@pytest.mark.parametrize(("check", "message"), WRONG_OF_A_REFUSAL)
def test_wrong_expectations_of_a_refusal_fail(check: Check, message: str) -> None:
    """A refusal is not nothing."""
    case: Case[int] = given(Account).when(Deposit(0)).rejected("amount must be positive")
    with pytest.raises(AssertionError, match=message):
        check(case)


def test_failure_is_part_of_the_case() -> None:
    """A command that the actor does not know, for one."""
    given(Account).when(SendReceipt(1)).fails(rb.EffectError, "no @decide for SendReceipt")
    with pytest.raises(AssertionError, match="expected Rejected, but the decider raised EffectError"):
        given(Account).when(SendReceipt(1)).rejected()


@rb.event("impure.done")
@frozen
class Done:
    text: str


def shout(instance: object, _: object, text: str) -> None:
    object.__setattr__(instance, "text", text + "!")


@rb.command("impure.do")
@frozen
class Do(rb.Command[Any]):
    how: str


@rb.actor("impure", snapshot_every=5)
@define
class Impure:
    seen: str = ""
    count: int = 0

    @rb.decide
    def do(self, command: Do, turn: rb.DecideTurn) -> rb.Effects[Any]:
        match command.how:
            case "dice":
                yield Done(str(random.random()))
            case "turn dice":
                yield Done(f"{turn.random.random()} {turn.now}")
            case "clock":
                return str(datetime.now(UTC))
            case "identity":
                yield rb.Enqueue("mail", Do(str(uuid4())))
            case "moody":
                if next(COUNTER) % 2:
                    raise rb.Rejected("odd")
            case "mutate":
                self.count += 1
            case "reply":
                return (1, 2)
            case "unencodable":
                yield Done(command)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            case how:
                yield Done(how)
        return None

    @rb.apply
    def done(self, event: Done) -> None:
        if event.text == "raise":
            raise ValueError("too late")
        self.seen = str(next(COUNTER)) if event.text == "apply" else event.text


@pytest.mark.parametrize("how", ["dice", "clock", "identity", "moody"])
def test_impure_decider_is_named(how: str) -> None:
    """The same turn is run twice and compared."""
    with pytest.raises(PurityError, match="decided differently when the same turn was run again") as caught:
        given(Impure).when(Do(how))
    assert caught.value.culprit == "Impure.do"


def test_dice_and_clock_of_the_turn_are_pure() -> None:
    """They are the same whenever the same message is decided."""
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    one = given(Impure).when(Do("turn dice"), now=moment, message_id="a")
    two = given(Impure).when(Do("turn dice"), now=moment, message_id="b")
    assert one.events == given(Impure).when(Do("turn dice"), now=moment, message_id="a").events
    assert one.events != two.events
    assert str(moment) in one.state.seen


def test_state_changed_by_a_decider_is_found() -> None:
    """Only events change the state: the rest is gone after a replay."""
    with pytest.raises(PurityError, match=r"Impure\.do left a state .*\n  Impure\.count: expected 0, got 1"):
        given(Impure).when(Do("mutate"))


def test_impure_applier_is_named() -> None:
    """Events are applied twice and compared, in the history and in the turn."""
    with pytest.raises(PurityError, match=r"Impure\.done came to another state") as caught:
        given(Impure, Done("apply")).when(Do("fine"))
    assert caught.value.culprit == "Impure.done"
    with pytest.raises(PurityError):
        given(Impure).when(Do("apply"))


def test_applier_that_raises_is_named() -> None:
    """An event has happened: @apply does not refuse it."""
    with pytest.raises(PurityError, match=r"Impure\.done raised ValueError: too late"):
        given(Impure, Done("raise")).when(Do("fine"))
    given(Impure).when(Do("raise")).fails(ValueError, "too late")


def test_impure_default_is_found() -> None:
    """A state that begins differently each time cannot be replayed."""

    @rb.actor("born")
    @define
    class Born:
        ident: UUID = field(factory=uuid4)

        @rb.decide
        def look(self, command: Look) -> int:
            return 1

    with pytest.raises(PurityError, match="its fields' defaults"):
        given(Born).when(Look())


def test_everything_goes_through_the_codec() -> None:
    """What could not be stored fails the test and not production."""
    with pytest.raises(rb.Unencodable, match=r"event 'impure\.done' cannot be stored: at text"):
        given(Impure).when(Do("unencodable"))
    with pytest.raises(rb.Unencodable, match=r"reply 'impure\.do' cannot be stored"):
        given(Impure).when(Do("reply"))
    with pytest.raises(rb.Unencodable, match=r"command 'impure\.do' cannot be stored"):
        given(Impure).when(Do("\ud800"))
    with pytest.raises(rb.Unencodable, match=r"event 'impure\.done' cannot be stored"):
        given(Impure, Done(5)).when(Do("fine"))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_event_that_comes_back_as_another_is_found() -> None:
    """A validator that changes what it is to check, for one."""

    @rb.event("loud")
    @frozen
    class Loud:
        text: str = field(validator=shout)

    @rb.actor("loud")
    @define
    class Actor:
        @rb.decide
        def look(self, command: Look) -> rb.Effects[int]:
            yield Loud("a")
            return 1

        @rb.apply
        def loud(self, event: Loud) -> None: ...

    with pytest.raises(
        AssertionError, match=r"comes back from the codec .*\n  event\.text: expected 'a!', got 'a!!'"
    ):
        given(Actor).when(Look())


def test_bad_key_is_refused() -> None:
    """As in production."""
    with pytest.raises(rb.InvalidKey):
        given(Account).when(Look(), key="")


def test_differences_reach_into_everything() -> None:
    """Lists, dicts, attrs classes without equality, and what was never set."""

    @define(eq=False)
    class Node:
        value: Any
        other: Any = field(init=False)

    left, right = Node({"a": [1, 2], "b": 1}), Node({"a": [1, 3], "c": 1})
    right.other = 5
    assert differences(left, right, "node") == [
        "node.value['a'][1]: expected 2, got 3",
        "node.value['b']: missing 1",
        "node.value['c']: unexpected 1",
        "node.other: expected _Unset nothing: it was never set, got int 5",
    ]
    assert differences(left, left) == []
    assert differences(Node(1), Node(1)) == []


def test_long_reports_are_cut() -> None:
    """The first twenty lines tell enough."""

    @rb.actor("many")
    @define
    class Many:
        @rb.decide
        def look(self, command: Look) -> rb.Effects[int]:
            for place in range(30):
                yield Deposited(place)
            return 1

        @rb.apply
        def deposited(self, event: Deposited) -> None: ...

    with pytest.raises(AssertionError, match=r"… and 10 more$"):
        given(Many).when(Look()).then()


def test_a_message_is_sent_as_it_was_yielded() -> None:
    """What a later event does to a list of the state is not in it."""
    first, second = rb.Enqueue("ears", Told(["a"])), rb.Enqueue("ears", Told(["a", "bow"]), delay=0.01)
    given(Basket, Filled(["a"])).when(Show()).sends(first, second)


def test_a_state_shares_nothing_with_its_events() -> None:
    """An applier may keep an event's list and change it: each event is as it was when it was yielded."""
    case = given(Basket, Filled(["a"]), Added("b")).when(Fill(["c"]))
    case.then(Filled(["c"]), Added("ribbon")).replies(["c", "ribbon"]).leaves(Basket(["c", "ribbon"]))
    case.when(Fill([])).then(Filled([]), Added("ribbon")).leaves(Basket(["ribbon"]))
    assert ["a", "b"] == rebuild(definition_of(Basket), [Filled(["a"]), Added("b")]).things
