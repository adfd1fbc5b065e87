"""`python -m examples.orders`: a batch of orders to its end. Killed and started again, it goes on."""

import argparse
import sys
from time import perf_counter

import trio

import rolebook as rb

from ._app import app
from ._batch import Batch
from ._checking import find_errors
from ._fulfilment import Fulfilment
from ._report import table
from ._wallet import Wallet

LOOK_AGAIN = 0.1
"""Seconds between two looks at what is not finished."""


async def run(batch: Batch, database: str | None) -> int:
    """Fulfil a batch, show it and check it; returns the exit code."""
    began = perf_counter()
    async with rb.open_runtime(app, database=database) as runtime:
        await runtime.send(*batch.messages())
        orders = await wait_for_ends(runtime, batch)
        print(table(orders.values()))
        wrong = await find_errors(runtime, batch, orders)
        done = runtime.statistics()
    for line in wrong:
        print("wrong:", line)
    if wrong:
        return 1
    print(f"\nChecked: every penny and every piece of {batch.size} orders is accounted for.")
    print(f"{done.turns:,} turns and {done.events:,} events in {perf_counter() - began:.1f} s")
    return 0


async def wait_for_ends(runtime: rb.Runtime, batch: Batch) -> dict[str, Fulfilment]:
    """Wait until every order has come to its end, and what was undone for it is undone; return them."""
    ended: dict[str, Fulfilment] = {}
    while len(ended) < batch.size:
        await trio.sleep(LOOK_AGAIN)
        found = await runtime.read_many(Fulfilment, [key for key in batch.orders if key not in ended])
        ended |= {key: order for key, order in found.items() if order.final}
    await wait_for_latecomers(runtime, batch)
    return {key: ended[key] for key in batch.orders}


async def wait_for_latecomers(runtime: rb.Runtime, batch: Batch) -> None:
    """Wait for banks that answer when nobody waits any more: their money goes back."""
    await runtime.wait_idle()
    waiting = True
    while waiting:
        await trio.sleep(LOOK_AGAIN)
        wallets = await runtime.read_many(Wallet, batch.customers)
        waiting = any(wallet.asked for wallet in wallets.values())
    await runtime.wait_idle()


def main() -> int:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(prog="python -m examples.orders", description=__doc__)
    parser.add_argument("--orders", type=int, default=200, metavar="N", help="how many; 200")
    parser.add_argument("--batch", default="one", metavar="NAME", help="another name for another batch")
    parser.add_argument("--database-url", metavar="URL", help="else DATABASE_URL, else an embedded server")
    options = parser.parse_args()
    return trio.run(run, Batch(options.batch, options.orders), options.database_url)


if __name__ == "__main__":
    sys.exit(main())
