"""A small bank, for tests."""

from attrs import define, frozen

import rolebook as rb


@rb.event("account.deposited")
@frozen
class Deposited:
    amount: int


@rb.event("account.withdrawn")
@frozen
class Withdrawn:
    amount: int


@rb.command("account.deposit")
@frozen
class Deposit(rb.Command[int]):
    amount: int


@rb.command("account.withdraw")
@frozen
class Withdraw(rb.Command[int]):
    amount: int


@rb.command("account.transfer")
@frozen
class Transfer(rb.Command[None]):
    amount: int
    to: str


@rb.command("account.look")
@frozen
class Look(rb.Command[int]):
    pass


@rb.command("mail.receipt")
@frozen
class SendReceipt(rb.Command[None]):
    amount: int


@rb.actor("account", snapshot_every=100)
@define
class Account:
    balance: int = 0

    @rb.decide
    def deposit(self, command: Deposit) -> rb.Effects[int]:
        if command.amount <= 0:
            raise rb.Rejected("amount must be positive")
        yield Deposited(command.amount)
        yield rb.Enqueue("mail", SendReceipt(command.amount))
        return self.balance

    @rb.decide
    def withdraw(self, command: Withdraw) -> rb.Effects[int]:
        yield Withdrawn(command.amount)
        if self.balance < 0:
            raise rb.Rejected("not enough money")
        return self.balance

    @rb.decide
    def transfer(self, command: Transfer, turn: rb.DecideTurn) -> rb.Effects[None]:
        yield Withdrawn(command.amount)
        yield rb.Tell(Account, command.to, Deposit(command.amount), headers={"from": turn.key})

    @rb.decide
    def look(self, command: Look) -> int:
        return self.balance

    @rb.apply
    def moved(self, event: Deposited | Withdrawn) -> None:
        self.balance += event.amount if isinstance(event, Deposited) else -event.amount
