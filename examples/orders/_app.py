"""The app: who takes part, and which of their events the process manager is told of."""

import understudy as us

from ._fulfilment import Fulfilment, NoteParcel, NotePayment, NoteStock
from ._parcel import HandedOver, Parcel, Recalled
from ._stock import Reserved, SoldOut, Stock
from ._wallet import Declined, Paid, Wallet

app = us.App("orders", actors=[Fulfilment, Wallet, Stock, Parcel])

# Each of these messages is sent in the transaction that stores the event: once, and never without it.


@app.route
def payment(event: Paid | Declined) -> us.Tell:
    """A wallet has paid, or has not."""
    return us.Tell(Fulfilment, event.order, NotePayment(isinstance(event, Paid)))


@app.route
def stock(event: Reserved | SoldOut) -> us.Tell:
    """The store room has reserved the pieces, or has too few."""
    return us.Tell(Fulfilment, event.order, NoteStock(isinstance(event, Reserved)))


@app.route
def parcel(event: HandedOver | Recalled, turn: us.DecideTurn) -> us.Tell:
    """The carrier has handed the parcel over, or has called it back. A parcel has its order's key."""
    return us.Tell(Fulfilment, turn.key, NoteParcel(isinstance(event, HandedOver)))
