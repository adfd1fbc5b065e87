"""Wallets: what customers pay from. They know of no order but its name."""

from attrs import define, field, frozen

import understudy as us


@us.event("wallet.filled")
@frozen
class Filled:
    amount: int


@us.event("wallet.payment-asked")
@frozen
class PaymentAsked:
    order: str


@us.event("wallet.paid")
@frozen
class Paid:
    order: str
    amount: int


@us.event("wallet.declined")
@frozen
class Declined:
    order: str


@us.event("wallet.refunded")
@frozen
class Refunded:
    order: str
    amount: int


@us.command("wallet.fill")
@frozen
class Fill(us.Command[None]):
    amount: int


@us.command("wallet.charge")
@frozen
class Charge(us.Command[None]):
    order: str
    amount: int
    seconds: float = 0.0


@us.command("wallet.settle")
@frozen
class Settle(us.Command[None]):
    order: str
    amount: int


@us.command("wallet.refund")
@frozen
class Refund(us.Command[None]):
    order: str
    amount: int


@us.actor("wallet")
@define
class Wallet:
    """A customer's money. The bank behind it may take its time."""

    balance: int = 0
    filled: int = 0
    asked: list[str] = field(factory=list[str])

    @us.decide
    def fill(self, command: Fill) -> us.Effects[None]:
        if self.filled:
            raise us.Rejected("filled already")
        yield Filled(command.amount)

    @us.decide
    def charge(self, command: Charge, turn: us.DecideTurn) -> us.Effects[None]:
        yield PaymentAsked(command.order)
        settle = Settle(command.order, command.amount)
        yield us.Tell(Wallet, turn.key, settle, delay=command.seconds or None)

    @us.decide
    def settle(self, command: Settle) -> us.Effects[None]:
        if command.amount > self.balance:
            yield Declined(command.order)
        else:
            yield Paid(command.order, command.amount)

    @us.decide
    def refund(self, command: Refund) -> us.Effects[None]:
        yield Refunded(command.order, command.amount)

    @us.apply
    def was_filled(self, event: Filled) -> None:
        self.filled += event.amount
        self.balance += event.amount

    @us.apply
    def was_asked(self, event: PaymentAsked) -> None:
        self.asked.append(event.order)

    @us.apply
    def gave(self, event: Paid) -> None:
        self.asked.remove(event.order)
        self.balance -= event.amount

    @us.apply
    def gave_nothing(self, event: Declined) -> None:
        self.asked.remove(event.order)

    @us.apply
    def got_back(self, event: Refunded) -> None:
        self.balance += event.amount
