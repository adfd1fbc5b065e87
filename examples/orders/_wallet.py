"""Wallets: what customers pay from. They know of no order but its name."""

from attrs import define, field, frozen

import rolebook as rb


@rb.event("wallet.filled")
@frozen
class Filled:
    amount: int


@rb.event("wallet.payment-asked")
@frozen
class PaymentAsked:
    order: str


@rb.event("wallet.paid")
@frozen
class Paid:
    order: str
    amount: int


@rb.event("wallet.declined")
@frozen
class Declined:
    order: str


@rb.event("wallet.refunded")
@frozen
class Refunded:
    order: str
    amount: int


@rb.command("wallet.fill")
@frozen
class Fill(rb.Command[None]):
    amount: int


@rb.command("wallet.charge")
@frozen
class Charge(rb.Command[None]):
    order: str
    amount: int
    seconds: float = 0.0


@rb.command("wallet.settle")
@frozen
class Settle(rb.Command[None]):
    order: str
    amount: int


@rb.command("wallet.refund")
@frozen
class Refund(rb.Command[None]):
    order: str
    amount: int


@rb.actor("wallet")
@define
class Wallet:
    """A customer's money. The bank behind it may take its time."""

    balance: int = 0
    filled: int = 0
    asked: list[str] = field(factory=list[str])

    @rb.decide
    def fill(self, command: Fill) -> rb.Effects[None]:
        if self.filled:
            raise rb.Rejected("filled already")
        yield Filled(command.amount)

    @rb.decide
    def charge(self, command: Charge, turn: rb.DecideTurn) -> rb.Effects[None]:
        yield PaymentAsked(command.order)
        settle = Settle(command.order, command.amount)
        yield rb.Tell(Wallet, turn.key, settle, delay=command.seconds or None)

    @rb.decide
    def settle(self, command: Settle) -> rb.Effects[None]:
        if command.amount > self.balance:
            yield Declined(command.order)
        else:
            yield Paid(command.order, command.amount)

    @rb.decide
    def refund(self, command: Refund) -> rb.Effects[None]:
        yield Refunded(command.order, command.amount)

    @rb.apply
    def was_filled(self, event: Filled) -> None:
        self.filled += event.amount
        self.balance += event.amount

    @rb.apply
    def was_asked(self, event: PaymentAsked) -> None:
        self.asked.append(event.order)

    @rb.apply
    def gave(self, event: Paid) -> None:
        self.asked.remove(event.order)
        self.balance -= event.amount

    @rb.apply
    def gave_nothing(self, event: Declined) -> None:
        self.asked.remove(event.order)

    @rb.apply
    def got_back(self, event: Refunded) -> None:
        self.balance += event.amount
