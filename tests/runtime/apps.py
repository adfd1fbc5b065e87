"""The actors that the tests of the runtime work with."""

from typing import Any

from attrs import Factory, define, frozen

import understudy as us
from tests.actors.bank import Deposit as Deposit
from tests.actors.bank import Deposited as Deposited
from tests.actors.bank import Withdrawn as Withdrawn

QUICK = us.Retry(attempts=3, backoff=us.Backoff(first=0.01, cap=0.02))
"""Three attempts, with next to no wait in between."""

SLOW = us.Retry(attempts=3, backoff=us.Backoff(first=600, cap=600, jitter=0))
"""Three attempts, ten minutes apart: a test that waits for one has gone wrong."""


class Broken(Exception):
    """What the deciders and handlers of these tests raise."""


@us.command("account.transfer")
@frozen
class Transfer(us.Command[int]):
    to: str
    amount: int


@us.actor("account")
@define
class Account:
    balance: int = 0

    @us.decide
    def deposit(self, command: Deposit) -> us.Effects[int]:
        if command.amount <= 0:
            raise us.Rejected("amount must be positive")
        yield Deposited(command.amount)
        return self.balance

    @us.decide
    def transfer(self, command: Transfer) -> us.Effects[int]:
        if command.amount > self.balance:
            raise us.Rejected("not enough money")
        yield Withdrawn(command.amount)
        yield us.Tell(Account, command.to, Deposit(command.amount))
        return self.balance

    @us.apply
    def deposited(self, event: Deposited) -> None:
        self.balance += event.amount

    @us.apply
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount


@us.event("diary.noted")
@frozen
class Noted:
    number: int
    attempt: int


@us.command("diary.note")
@frozen
class Note(us.Command[int]):
    """Write a number down; raise on the first attempts if told so, after or before an event."""

    number: int
    failures: int = 0
    spoil: bool = False


@us.command("diary.tell")
@frozen
class Pass(us.Command[None]):
    """Send a note to another queue."""

    queue: str
    number: int


def diary(name: str = "diary", **options: Any) -> type[Any]:
    """Make a kind of actor whose journal says in which order and at which attempt it was told what."""
    settings: dict[str, Any] = {"retry": QUICK, **options}

    @us.actor(name, **settings)
    @define
    class Diary:
        numbers: list[int] = Factory(list[int])

        @us.decide
        def note(self, command: Note, turn: us.DecideTurn) -> us.Effects[int]:
            if turn.attempt <= command.failures:
                if command.spoil:
                    yield Noted(-1, turn.attempt)
                raise Broken(f"note {command.number}, attempt {turn.attempt}")
            yield Noted(command.number, turn.attempt)
            return len(self.numbers)

        @us.decide
        def hand_on(self, command: Pass) -> us.Effects[None]:
            yield us.Enqueue(command.queue, Note(command.number))

        @us.apply
        def noted(self, event: Noted) -> None:
            self.numbers.append(event.number)

    return Diary
