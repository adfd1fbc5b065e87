"""A small bank, for tests."""

from attrs import define, frozen

import understudy as us


@us.event("account.deposited")
@frozen
class Deposited:
    amount: int


@us.event("account.withdrawn")
@frozen
class Withdrawn:
    amount: int


@us.command("account.deposit")
@frozen
class Deposit(us.Command[int]):
    amount: int


@us.command("account.withdraw")
@frozen
class Withdraw(us.Command[int]):
    amount: int


@us.command("account.transfer")
@frozen
class Transfer(us.Command[None]):
    amount: int
    to: str


@us.command("account.look")
@frozen
class Look(us.Command[int]):
    pass


@us.command("mail.receipt")
@frozen
class SendReceipt(us.Command[None]):
    amount: int


@us.actor("account", snapshot_every=100)
@define
class Account:
    balance: int = 0

    @us.decide
    def deposit(self, command: Deposit) -> us.Effects[int]:
        if command.amount <= 0:
            raise us.Rejected("amount must be positive")
        yield Deposited(command.amount)
        yield us.Enqueue("mail", SendReceipt(command.amount))
        return self.balance

    @us.decide
    def withdraw(self, command: Withdraw) -> us.Effects[int]:
        yield Withdrawn(command.amount)
        if self.balance < 0:
            raise us.Rejected("not enough money")
        return self.balance

    @us.decide
    def transfer(self, command: Transfer, turn: us.DecideTurn) -> us.Effects[None]:
        yield Withdrawn(command.amount)
        yield us.Tell(Account, command.to, Deposit(command.amount), headers={"from": turn.key})

    @us.decide
    def look(self, command: Look) -> int:
        return self.balance

    @us.apply
    def moved(self, event: Deposited | Withdrawn) -> None:
        self.balance += event.amount if isinstance(event, Deposited) else -event.amount
