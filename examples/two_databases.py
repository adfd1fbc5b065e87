"""Two apps, each on a database of its own, and messages from one to the other, exactly once.

    python -m examples.two_databases

An order bills its customer: the event and a message to the queue `to-billing` commit together, in the
database of the orders. The handler of that queue tells the invoice in the other database. It may run twice,
because it commits in one database what it has done in the other; the message's id, as idempotency key, makes
the second time have no effect. Here it runs twice for every order, and each invoice is billed once.
"""

import sys
from collections.abc import AsyncGenerator

import trio
from attrs import define, frozen

import rolebook as rb

ORDERS = 50
PRICE = 20


@rb.event("order.placed")
@frozen
class Placed:
    amount: int


@rb.command("order.place")
@frozen
class Place(rb.Command[None]):
    amount: int


@rb.event("invoice.billed")
@frozen
class Billed:
    amount: int


@rb.command("invoice.bill")
@frozen
class Bill(rb.Command[None]):
    order: str
    amount: int


@rb.actor("order")
@define
class Order:
    amount: int = 0

    @rb.decide
    def place(self, command: Place, turn: rb.DecideTurn) -> rb.Effects[None]:
        yield Placed(command.amount)
        yield rb.Enqueue("to-billing", Bill(turn.key, command.amount))

    @rb.apply
    def placed(self, event: Placed) -> None:
        self.amount += event.amount


@rb.actor("invoice")
@define
class Invoice:
    total: int = 0

    @rb.decide
    def bill(self, command: Bill) -> rb.Effects[None]:
        yield Billed(command.amount)

    @rb.apply
    def billed(self, event: Billed) -> None:
        self.total += event.amount


billing_app = rb.App("billing", actors=[Invoice])
orders_app = rb.App("orders", actors=[Order])


@orders_app.resource
async def billing() -> AsyncGenerator[rb.Client]:
    async with rb.open_client(
        billing_app
    ) as client:  # its own database: on the embedded server one for each app
        yield client


@orders_app.handler("to-billing", retry=rb.Retry(attempts=3, backoff=rb.Backoff(first=0.01)))
async def forward(command: Bill, turn: rb.Turn, *, billing: rb.Client) -> None:
    await billing.tell(Invoice, command.order, command, idempotency_key=turn.message_id)
    if turn.attempt == 1:
        raise ConnectionError("the other database has it, and this one does not know")


async def main() -> int:
    async with rb.open_runtime(billing_app) as invoices, rb.open_runtime(orders_app) as orders:
        for number in range(ORDERS):
            await orders.tell(Order, f"order-{number}", Place(PRICE))
        while sum((await orders.depths()).values()):  # a retry that waits is not due
            await orders.wait_idle()
            await trio.sleep(0.05)
        await invoices.wait_idle()
        keys = [key async for key in invoices.keys(Invoice)]
        totals = [invoice.total for invoice in (await invoices.read_many(Invoice, keys)).values()]
    print(f"{ORDERS} orders, {len(totals)} invoices, billed {sum(totals)} of {ORDERS * PRICE}")
    return 0 if totals == [PRICE] * ORDERS else 1


if __name__ == "__main__":
    sys.exit(trio.run(main))
