"""A process that runs the ledger until its input ends.

    python -m tests.chaos.worker URL NAME SETTINGS [tick]

With `tick` it also asks actors of its own, and nobody else does.
"""

import json
import logging
import sys
from contextlib import suppress
from random import Random

import trio

import rolebook as rb
from rolebook.runtime import Runtime
from tests.chaos.ledger import Tick, Ticker, ledger, settings


async def run(url: str, name: str, changes: str, *options: str) -> None:
    """Run until the input ends."""
    chosen = settings(**json.loads(changes))
    async with (
        rb.open_runtime(ledger(), database=url, settings=chosen, process=name) as runtime,
        trio.open_nursery() as nursery,
    ):
        if "tick" in options:
            for number in range(16):
                nursery.start_soon(tick, runtime, f"{name}-{number}")
        print("ready", flush=True)  # noqa: T201 - what the test waits for
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


async def tick(runtime: Runtime, key: str) -> None:
    """Ask for ever, out of step with the others: at any moment some turn has begun and is not committed."""
    chance = Random(key)
    while True:
        await trio.sleep(chance.uniform(0, 0.03))
        with suppress(rb.OutcomeUnknown):
            await runtime.ask(Ticker, key, Tick())


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    database, own_name, changed, *wishes = sys.argv[1:]
    trio.run(run, database, own_name, changed, *wishes)
