"""What the type checkers know: this file is checked by mypy and pyright, and says what they must infer.

The asserts cost nothing when the tests run; a wrong inference fails `make check`.
"""

from typing import Any, TypeVar, assert_type

import pytest
from attrs import frozen

import rolebook as rb
from rolebook.testing import Case, given

from .bank import Account, Deposit, Deposited, Look, SendReceipt, Transfer

R = TypeVar("R")


def ask(actor: type | str, key: str, command: rb.Command[R]) -> R:
    """Ask with the signature that the runtime has."""
    raise NotImplementedError(actor, key, command)


def never_run() -> None:
    """Hold what the type checkers look at."""
    assert_type(ask(Account, "alice", Deposit(1)), int)
    assert_type(ask("account", "alice", Transfer(1, "bob")), None)
    assert_type(given(Account, Deposited(1)).when(Deposit(1)), Case[int])
    assert_type(given(Account).when(Deposit(1)).when(Look()), Case[int])
    assert_type(given(Account).when(object()), Case[Any])
    ask(Account, "alice", Deposit("1"))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ask(Account, "alice", Deposited(1))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    given(Account).when(Deposit(1)).replies("1")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_decorated_classes_keep_their_types() -> None:
    """A decorator returns the class it was given, constructor and all."""
    assert assert_type(Deposit(1), Deposit) == Deposit(amount=1)
    assert assert_type(Deposit(1).amount, int) == 1
    assert assert_type(Account(), Account) == Account(balance=0)
    assert assert_type(Account().balance, int) == 0


def test_handlers_keep_their_types() -> None:
    """A registered handler is still the function it was."""
    app = rb.App("bank")

    @app.handler("mail")
    async def mail(command: SendReceipt, turn: rb.Turn) -> None:
        turn.send(rb.Enqueue("mail", command))

    assert app.handlers["mail"].function is mail


def test_effects_name_the_reply() -> None:
    """`Effects[int]` is a generator that returns an int."""

    @frozen
    class Counter:
        def count(self) -> rb.Effects[int]:
            yield Deposited(1)
            return 1

    generator = Counter().count()
    assert assert_type(next(generator), object) == Deposited(1)
    with pytest.raises(StopIteration) as ended:
        next(generator)
    assert ended.value.value == 1
