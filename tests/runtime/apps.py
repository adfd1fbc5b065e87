"""The actors that the tests of the runtime work with."""

from typing import Any

from attrs import Factory, define, frozen

import rolebook as rb
from tests.actors.bank import Deposit as Deposit
from tests.actors.bank import Deposited as Deposited
from tests.actors.bank import Withdrawn as Withdrawn

QUICK = rb.Retry(attempts=3, backoff=rb.Backoff(first=0.01, cap=0.02))
"""Three attempts, with next to no wait in between."""

SLOW = rb.Retry(attempts=3, backoff=rb.Backoff(first=600, cap=600, jitter=0))
"""Three attempts, ten minutes apart: a test that waits for one has gone wrong."""


class Broken(Exception):
    """What the deciders and handlers of these tests raise."""


@rb.command("account.transfer")
@frozen
class Transfer(rb.Command[int]):
    to: str
    amount: int


@rb.actor("account")
@define
class Account:
    balance: int = 0

    @rb.decide
    def deposit(self, command: Deposit) -> rb.Effects[int]:
        if command.amount <= 0:
            raise rb.Rejected("amount must be positive")
        yield Deposited(command.amount)
        return self.balance

    @rb.decide
    def transfer(self, command: Transfer) -> rb.Effects[int]:
        if command.amount > self.balance:
            raise rb.Rejected("not enough money")
        yield Withdrawn(command.amount)
        yield rb.Tell(Account, command.to, Deposit(command.amount))
        return self.balance

    @rb.apply
    def deposited(self, event: Deposited) -> None:
        self.balance += event.amount

    @rb.apply
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount


@rb.event("diary.noted")
@frozen
class Noted:
    number: int
    attempt: int


@rb.command("diary.note")
@frozen
class Note(rb.Command[int]):
    """Write a number down; raise on the first attempts if told so, after or before an event."""

    number: int
    failures: int = 0
    spoil: bool = False


@rb.command("diary.tell")
@frozen
class Pass(rb.Command[None]):
    """Send a note to another queue."""

    queue: str
    number: int


def diary(name: str = "diary", **options: Any) -> type[Any]:
    """Make a kind of actor whose journal says in which order and at which attempt it was told what."""
    settings: dict[str, Any] = {"retry": QUICK, **options}

    @rb.actor(name, **settings)
    @define
    class Diary:
        numbers: list[int] = Factory(list[int])

        @rb.decide
        def note(self, command: Note, turn: rb.DecideTurn) -> rb.Effects[int]:
            if turn.attempt <= command.failures:
                if command.spoil:
                    yield Noted(-1, turn.attempt)
                raise Broken(f"note {command.number}, attempt {turn.attempt}")
            yield Noted(command.number, turn.attempt)
            return len(self.numbers)

        @rb.decide
        def hand_on(self, command: Pass) -> rb.Effects[None]:
            yield rb.Enqueue(command.queue, Note(command.number))

        @rb.apply
        def noted(self, event: Noted) -> None:
            self.numbers.append(event.number)

    return Diary
