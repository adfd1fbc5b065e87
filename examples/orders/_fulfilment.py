"""The process manager: what has become of one order, and what is to be done next."""

from attrs import define, frozen

import rolebook as rb

from ._parcel import Parcel, Recall, Ship
from ._stock import Release, Reserve, Stock, Take
from ._wallet import Charge, Refund, Wallet

TIME_LIMIT = 1.0
"""Seconds for each half: payment and stock, then shipping."""

CARRIER_SECONDS = (0.05, 0.1, 0.2, 0.3, 1.5)
"""How long a carrier takes; the last is over the limit."""


@rb.event("order.placed")
@frozen
class Placed:
    customer: str
    article: str
    pieces: int
    price: int


@rb.event("order.paid")
@frozen
class OrderPaid:
    pass


@rb.event("order.packed")
@frozen
class OrderPacked:
    pass


@rb.event("order.sent")
@frozen
class Sent:
    pass


@rb.event("order.delivered")
@frozen
class Delivered:
    pass


@rb.event("order.called-off")
@frozen
class CalledOff:
    reason: str


@rb.command("order.place")
@frozen
class Place(rb.Command[None]):
    customer: str
    article: str
    pieces: int
    price: int
    bank_seconds: float = 0.0


@rb.command("order.note-payment")
@frozen
class NotePayment(rb.Command[None]):
    paid: bool


@rb.command("order.note-stock")
@frozen
class NoteStock(rb.Command[None]):
    reserved: bool


@rb.command("order.note-parcel")
@frozen
class NoteParcel(rb.Command[None]):
    delivered: bool


@rb.command("order.hurry")
@frozen
class Hurry(rb.Command[None]):
    """The time is up for what the order was doing."""

    was: str


@rb.actor("order")
@define
class Fulfilment:
    """One order on its way.

    new → waiting → shipping → delivered
                ↘          ↘
                  called off
    """

    state: str = "new"
    order: Placed | None = None
    paid: bool = False
    packed: bool = False
    reason: str = ""

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the order."""
        return self.state in ("delivered", "called off")

    @rb.decide
    def place(self, command: Place, turn: rb.DecideTurn) -> rb.Effects[None]:
        if self.order is not None:
            raise rb.Rejected("placed already")  # so a customer may press the button twice
        yield Placed(command.customer, command.article, command.pieces, command.price)
        yield rb.Tell(Wallet, command.customer, Charge(turn.key, command.price, command.bank_seconds))
        yield rb.Tell(Stock, command.article, Reserve(turn.key, command.pieces))
        yield rb.Tell(Fulfilment, turn.key, Hurry("waiting"), delay=TIME_LIMIT)

    @rb.decide
    def note_payment(self, command: NotePayment, turn: rb.DecideTurn) -> rb.Effects[None]:
        if not command.paid:
            yield from self._call_off(turn, "declined")
        elif self.state == "called off":
            yield self._refund(turn)  # the money came after all, and goes back
        else:
            yield OrderPaid()
            yield from self._send_if_ready(turn)

    @rb.decide
    def note_stock(self, command: NoteStock, turn: rb.DecideTurn) -> rb.Effects[None]:
        if not command.reserved:
            yield from self._call_off(turn, "sold out")
        elif self.state == "called off":
            yield self._release(turn)
        else:
            yield OrderPacked()
            yield from self._send_if_ready(turn)

    @rb.decide
    def note_parcel(self, command: NoteParcel, turn: rb.DecideTurn) -> rb.Effects[None]:
        if command.delivered:
            yield Delivered()
            yield rb.Tell(Stock, self._order.article, Take(turn.key))
        else:
            yield from self._call_off(turn, "carrier too slow")

    @rb.decide
    def hurry(self, command: Hurry, turn: rb.DecideTurn) -> rb.Effects[None]:
        if command.was != self.state:
            return  # it was in time
        if self.state == "waiting":
            yield from self._call_off(turn, "bank too slow" if not self.paid else "store room too slow")
        else:
            # The carrier has the last word: the parcel is recalled, or it was handed over before.
            yield rb.Tell(Parcel, turn.key, Recall())

    def _send_if_ready(self, turn: rb.DecideTurn) -> rb.Effects[None]:
        if self.paid and self.packed:
            yield Sent()
            yield rb.Tell(Parcel, turn.key, Ship(turn.random.choice(CARRIER_SECONDS)))
            yield rb.Tell(Fulfilment, turn.key, Hurry("shipping"), delay=TIME_LIMIT)

    def _call_off(self, turn: rb.DecideTurn, reason: str) -> rb.Effects[None]:
        """End the order, and undo what was done for it; what is still to come is undone when it comes."""
        if self.state == "called off":
            return
        yield CalledOff(reason)
        if self.paid:
            yield self._refund(turn)
        if self.packed:
            yield self._release(turn)

    def _refund(self, turn: rb.DecideTurn) -> rb.Tell:
        return rb.Tell(Wallet, self._order.customer, Refund(turn.key, self._order.price))

    def _release(self, turn: rb.DecideTurn) -> rb.Tell:
        return rb.Tell(Stock, self._order.article, Release(turn.key))

    @property
    def _order(self) -> Placed:
        assert self.order is not None, "an order is placed before anything else happens to it"
        return self.order

    @rb.apply
    def was_placed(self, event: Placed) -> None:
        self.order, self.state = event, "waiting"

    @rb.apply
    def was_paid(self, event: OrderPaid) -> None:
        self.paid = True

    @rb.apply
    def was_packed(self, event: OrderPacked) -> None:
        self.packed = True

    @rb.apply
    def was_sent(self, event: Sent) -> None:
        self.state = "shipping"

    @rb.apply
    def was_delivered(self, event: Delivered) -> None:
        self.state = "delivered"

    @rb.apply
    def was_called_off(self, event: CalledOff) -> None:
        self.state, self.reason = "called off", event.reason
