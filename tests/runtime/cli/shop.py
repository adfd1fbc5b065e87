"""An app for the tests of the command line."""

import logging

import trio
from attrs import define, frozen

import understudy as us

log = logging.getLogger("shop")


@us.event("shop.sold")
@frozen
class Sold:
    amount: int


@us.command("shop.sell")
@frozen
class Sell:
    amount: int


@us.command("shop.wrap")
@frozen
class Wrap:
    seconds: float


@us.actor("shop", snapshot_every=2)
@define
class Shop:
    sold: int = 0

    @us.decide
    def sell(self, command: Sell) -> us.Effects[None]:
        yield Sold(command.amount)

    @us.apply
    def was_sold(self, event: Sold) -> None:
        self.sold += event.amount


app = us.App("shop", actors=[Shop])


@app.handler("wrapping", retry=us.Retry(attempts=1))
async def wrap(command: Wrap) -> None:
    """Take as long as told; for ever, if that is negative."""
    log.info("wrapping begins")
    if command.seconds < 0:
        await trio.sleep_forever()
    raise ValueError("no paper left")


no_app = 42
