"""Deciding: events are applied at once, effects collected, and mistakes named."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st

import rolebook as rb
from rolebook.actors import Decision, decision_of, definition_of, fold, run_decider

from .bank import Account, Deposit, Deposited, Look, SendReceipt, Transfer, Withdraw, Withdrawn

TURN = rb.DecideTurn("account", "alice", "message-1", datetime(2020, 1, 1, tzinfo=UTC))


@rb.command("odd.do")
@frozen
class Do(rb.Command[Any]):
    what: str


@rb.event("odd.strange")
@frozen
class Strange:
    pass


@rb.event("odd.done")
@frozen
class Done:
    what: str


async def _coroutine() -> None: ...


@rb.actor("odd")
@define
class Odd:
    done: int = 0
    closed: bool = False

    @rb.decide
    def do(self, command: Do) -> Any:
        return self._helper(command)  # a decider may hand over to a generator of its own

    def _helper(self, command: Do) -> Iterator[object]:
        yield Done(command.what)
        odd: dict[str, Any] = {
            "number": 7,
            "text": "text",
            "none": None,
            "class": Done,
            "strange": Strange(),
            "command": Do("x"),
        }
        try:
            if command.what == "coroutine":
                yield _coroutine()
            elif command.what == "stop":
                yield rb.Stop()
            elif command.what != "apply":
                yield odd[command.what]
        finally:
            self.closed = True

    @rb.decide
    def look(self, command: Look) -> Any:
        return _coroutine()

    @rb.apply
    def applied(self, event: Done) -> None:
        if event.what == "apply":
            next(iter(()))
        self.done += 1


def test_events_are_applied_when_they_are_yielded() -> None:
    """After a yield the decider sees the state that its event made."""
    state = Account(balance=1)
    decision = decision_of(definition_of(Account), state, Deposit(10), TURN)
    assert decision.events == [Deposited(10)]
    assert decision.sends == [rb.Enqueue("mail", SendReceipt(10))]
    assert decision.reply == 11
    assert not decision.stop
    assert state == Account(balance=11)


def test_decider_may_be_a_plain_function() -> None:
    """What decides no event just returns its reply."""
    decision = decision_of(definition_of(Account), Account(balance=3), Look(), TURN)
    assert (decision.events, decision.reply) == ([], 3)


def test_decider_gets_its_turn_if_it_asks() -> None:
    """A second parameter is the turn."""
    decision = decision_of(definition_of(Account), Account(), Transfer(5, "bob"), TURN)
    assert decision.sends == [rb.Tell(Account, "bob", Deposit(5), headers={"from": "alice"})]


def test_rejection_before_any_event_leaves_the_state_alone() -> None:
    """Such an instance can go on."""
    state, decision = Account(), Decision()
    with pytest.raises(rb.Rejected, match="positive"):
        run_decider(definition_of(Account), state, Deposit(0), TURN, decision)
    assert not decision.touched
    assert state == Account()


def test_rejection_after_an_event_is_seen() -> None:
    """The caller is told that the state is spoilt."""
    decision = Decision()
    with pytest.raises(rb.Rejected):
        run_decider(definition_of(Account), Account(), Withdraw(1), TURN, decision)
    assert decision.touched


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("number", r"yielded 7, which is no event and no effect"),
        ("text", r"yielded 'text'"),
        ("none", r"yielded None"),
        ("class", r"yielded the class Done; yield an instance"),
        ("strange", r"yielded the event Strange, but actor 'odd' has no @apply for it"),
        ("command", r"yielded the command Do itself; yield Tell"),
        ("coroutine", r"yielded a coroutine; a decider awaits nothing"),
    ],
)
def test_what_is_no_effect_is_refused(what: str, message: str) -> None:
    """The error names the decider and the line; the generator is closed, and no coroutine is left behind."""
    state, decision = Odd(), Decision()
    with pytest.raises(rb.EffectError, match=message) as caught:
        run_decider(definition_of(Odd), state, Do(what), TURN, decision)
    assert "Odd.do (line " in str(caught.value)
    assert decision.touched
    assert state.closed


def test_awaitable_reply_is_refused() -> None:
    """A decider that calls an async function and returns what it got has awaited nothing."""
    with pytest.raises(rb.EffectError, match="returned an awaitable"):
        decision_of(definition_of(Odd), Odd(), Look(), TURN)


def test_command_without_a_decider_is_refused() -> None:
    """The error says what the actor decides."""
    with pytest.raises(rb.EffectError, match=r"actor 'odd' has no @decide for Deposit; it decides Do, Look"):
        decision_of(definition_of(Odd), Odd(), Deposit(1), TURN)


def test_stop_is_noted() -> None:
    """A decider may ask to be passivated."""
    assert decision_of(definition_of(Odd), Odd(), Do("stop"), TURN).stop


def test_stop_iteration_in_an_applier_is_a_failure() -> None:
    """A stray StopIteration must not pass for the end of the decider."""
    decision = Decision()
    with pytest.raises(StopIteration):
        run_decider(definition_of(Odd), Odd(), Do("apply"), TURN, decision)
    assert decision.touched


def test_turn_has_its_own_dice() -> None:
    """A retry of the same message throws the same numbers; another message throws others."""

    def throw(message_id: str) -> list[float]:
        turn = rb.DecideTurn("account", "alice", message_id, TURN.now)
        return [turn.random.random() for _ in range(3)]

    assert throw("a") == throw("a")
    assert throw("a") != throw("b")


def test_fold_names_an_event_without_an_applier() -> None:
    """A stored event whose @apply was deleted is named, with the remedy."""
    with pytest.raises(
        rb.DefinitionError, match="actor 'account' has no @apply for Done, which is in its journal"
    ):
        fold(definition_of(Account), Account(), [Done("x")])


def test_fold_notes_which_event_failed() -> None:
    """The error of an applier says which event it was applied to."""
    with pytest.raises(StopIteration) as caught:
        fold(definition_of(Odd), Odd(), [Done("fine"), Done("apply")])
    assert caught.value.__notes__ == ["while actor 'odd' applied Done(what='apply')"]


@given(
    st.lists(
        st.one_of(
            st.integers(-5, 50).map(Deposit),
            st.integers(0, 50).map(Withdraw),
            st.integers(0, 50).map(lambda amount: Transfer(amount, "bob")),
        )
    )
)
def test_state_is_the_fold_of_its_events(commands: list[Any]) -> None:
    """However commands come, the state after them is what a replay of the events makes."""
    definition = definition_of(Account)
    state, journal = Account(), list[object]()
    for command in commands:
        decision = Decision()
        try:
            run_decider(definition, state, command, TURN, decision)
        except rb.Rejected:
            if decision.touched:
                state = fold(definition, Account(), journal)
        else:
            journal += decision.events
    assert fold(definition, definition.initial(), journal) == state
    assert sum(
        each.amount if isinstance(each, Deposited) else -each.amount for each in _amounts(journal)
    ) == (state.balance)


def _amounts(journal: list[object]) -> list[Deposited | Withdrawn]:
    return [each for each in journal if isinstance(each, (Deposited, Withdrawn))]


@rb.command("forget")
@frozen
class Forget(rb.Command[None]):
    how: str


@rb.actor("forgetful")
@define
class Forgetful:
    @rb.decide
    def forget(self, command: Forget) -> rb.Effects[Any]:
        yield rb.Stop()
        if command.how == "yield":
            yield self._rest()
        return self._rest()

    def _rest(self) -> Iterator[object]:
        yield Done("it never runs")


@pytest.mark.parametrize(("how", "did"), [("yield", r"\(line \d+\) yielded"), ("return", "returned")])
def test_a_generator_that_has_not_run_is_refused(how: str, did: str) -> None:
    """A forgotten `yield from` would lose all that the helper decides, without a word."""
    with pytest.raises(rb.EffectError, match=rf"Forgetful\.forget {did} a generator.*`yield from`.*_rest"):
        decision_of(definition_of(Forgetful), Forgetful(), Forget(how), TURN)


@rb.command("cling")
@frozen
class Cling(rb.Command[None]):
    what: str
    last: str = "yield"


@rb.actor("clinging")
@define
class Clinging:
    steps: list[str] = field(factory=list[str])

    @rb.decide
    def cling(self, command: Cling) -> rb.Effects[Any]:
        try:
            if command.what == "apply":
                yield Done("apply")
            yield self._started() if command.what == "started" else 7
        finally:
            self.steps.append("finally")
            for _ in range(3):
                if command.last == "raise":
                    raise ValueError("it hides the error")
                yield Done("more")

    def _started(self) -> Iterator[object]:
        def inner() -> Iterator[object]:
            try:
                yield Done("first")
            finally:
                yield Done("last")

        helper = inner()
        next(helper)
        return helper

    @rb.apply
    def done(self, event: Done) -> None:
        if event.what == "apply":
            raise ZeroDivisionError("it cannot be applied")


@pytest.mark.parametrize("last", ["yield", "raise"])
@pytest.mark.parametrize(
    ("what", "error", "text"),
    [
        ("number", rb.EffectError, r"Clinging\.cling \(line \d+\) yielded 7, which is no event"),
        ("started", rb.EffectError, r"Clinging\.cling \(line \d+\) yielded a generator"),
        ("apply", ZeroDivisionError, "it cannot be applied"),
    ],
)
def test_what_a_decider_does_at_its_end_hides_no_error(
    what: str, error: type[Exception], text: str, last: str
) -> None:
    """What a `finally` yields goes nowhere, what it raises is not the fault, and it is run at once."""
    state = Clinging()
    with pytest.raises(error, match=text):
        decision_of(definition_of(Clinging), state, Cling(what, last), TURN)
    assert state.steps == ["finally"]
