"""The books: what must be true once every order has come to its end, whatever happened on the way."""

from collections.abc import Mapping

import rolebook as rb

from ._batch import Batch
from ._fulfilment import CalledOff, Delivered, Fulfilment
from ._parcel import Parcel
from ._stock import Stock
from ._wallet import Wallet


async def find_errors(runtime: rb.Runtime, batch: Batch, orders: Mapping[str, Fulfilment]) -> list[str]:
    """Return what is wrong: nothing, if money, pieces and orders are all accounted for."""
    wallets = await runtime.read_many(Wallet, batch.customers)
    shelves = await runtime.read_many(Stock, batch.articles)
    parcels = await runtime.read_many(Parcel, batch.orders)
    delivered = [each.order for each in orders.values() if each.state == "delivered" and each.order]
    earned = sum(order.price for order in delivered)
    sold = sum(order.pieces for order in delivered)
    left = sum(wallet.balance for wallet in wallets.values())
    on_shelf = sum(shelf.on_shelf for shelf in shelves.values())
    wrong: list[str] = []
    if left + earned != batch.money:
        wrong.append(f"money: {batch.money} came in, {left} is left and {earned} was earned")
    if on_shelf + sold != batch.pieces or sold != sum(shelf.taken for shelf in shelves.values()):
        wrong.append(f"pieces: {batch.pieces} came in, {on_shelf} are on the shelf and {sold} were sold")
    wrong += [f"{key}: {shelf.reserved} stays reserved" for key, shelf in shelves.items() if shelf.reserved]
    for key, order in orders.items():
        wrong += await _find_errors_of(runtime, key, order, parcels[key])
    wrong += [f"dead letter of {each.queue}: {each.error}" for each in await runtime.dead_letters()]
    return wrong


async def _find_errors_of(runtime: rb.Runtime, key: str, order: Fulfilment, parcel: Parcel) -> list[str]:
    ends = [each.event async for each in runtime.events(Fulfilment, key)]
    ends = [each for each in ends if isinstance(each, Delivered | CalledOff)]
    wrong = [] if len(ends) == 1 else [f"{key}: it came to {len(ends)} ends: {ends}"]
    if (order.state == "delivered") != (parcel.state == "handed over"):
        wrong.append(f"{key} is {order.state}, and its parcel {parcel.state}")
    return wrong
