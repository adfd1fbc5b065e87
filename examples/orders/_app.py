"""The app: who takes part, and which of their events the process manager is told of."""

import rolebook as rb

from ._fulfilment import Fulfilment, NoteParcel, NotePayment, NoteStock
from ._parcel import HandedOver, Parcel, Recalled
from ._stock import Reserved, SoldOut, Stock
from ._wallet import Declined, Paid, Wallet

app = rb.App("orders", actors=[Fulfilment, Wallet, Stock, Parcel])

# Each of these messages is sent in the transaction that stores the event: once, and never without it.


@app.route
def payment(event: Paid | Declined) -> rb.Tell:
    """A wallet has paid, or has not."""
    return rb.Tell(Fulfilment, event.order, NotePayment(isinstance(event, Paid)))


@app.route
def stock(event: Reserved | SoldOut) -> rb.Tell:
    """The store room has reserved the pieces, or has too few."""
    return rb.Tell(Fulfilment, event.order, NoteStock(isinstance(event, Reserved)))


@app.route
def parcel(event: HandedOver | Recalled, turn: rb.DecideTurn) -> rb.Tell:
    """The carrier has handed the parcel over, or has called it back. A parcel has its order's key."""
    return rb.Tell(Fulfilment, turn.key, NoteParcel(isinstance(event, HandedOver)))
