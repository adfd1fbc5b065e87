"""An app for the tests of the command line."""

import logging

import trio
from attrs import define, frozen

import rolebook as rb

log = logging.getLogger("shop")


@rb.event("shop.sold")
@frozen
class Sold:
    amount: int


@rb.command("shop.sell")
@frozen
class Sell:
    amount: int


@rb.command("shop.wrap")
@frozen
class Wrap:
    seconds: float


@rb.actor("shop", snapshot_every=2)
@define
class Shop:
    sold: int = 0

    @rb.decide
    def sell(self, command: Sell) -> rb.Effects[None]:
        yield Sold(command.amount)

    @rb.apply
    def was_sold(self, event: Sold) -> None:
        self.sold += event.amount


app = rb.App("shop", actors=[Shop])


@app.handler("wrapping", retry=rb.Retry(attempts=1))
async def wrap(command: Wrap) -> None:
    """Take as long as told; for ever, if that is negative."""
    log.info("wrapping begins")
    if command.seconds < 0:
        await trio.sleep_forever()
    raise ValueError("no paper left")


no_app = 42
