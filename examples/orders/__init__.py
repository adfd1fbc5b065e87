"""Orders, fulfilled by a process manager: payment, stock and shipping, time-outs and compensation.

    python -m examples.orders

`Fulfilment` is the process manager: one for each order. The routes in `_app.py` tell it of what happens in
wallets, in the store room and at the carrier, and it tells them what to do. What takes too long is called
off, and what was done for it is undone: the payment refunded, the stock released, the parcel recalled.
"""
