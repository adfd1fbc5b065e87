"""A process that runs the office until its input ends, and asks counters of its own meanwhile.

    python -m tests.servers.worker URL NAME [WEAKENING ...]

Those that it owns itself are asked without a message, so that at any moment some turn of it is under way that
no row of a mailbox stands for.
"""

import logging
import sys
from contextlib import suppress
from functools import partial
from itertools import count

import pytest
import trio

import rolebook as rb
from rolebook.runtime import Runtime
from tests.chaos.ledger import settings
from tests.chaos.scene import PACE
from tests.runtime.looking import looking_at
from tests.servers.office import Counter, Sign, office
from tests.servers.weakening import Weakening

ASKERS = 8


async def run(url: str, name: str, *missing: str) -> None:
    """Run until the input ends, without some safeguards of the program."""
    async with looking_at(url) as looking:
        await Weakening(pytest.MonkeyPatch(), missing)(looking)
    async with (
        rb.open_runtime(office(), database=url, settings=settings(), process=name) as runtime,
        trio.open_nursery() as nursery,
    ):
        for number in range(ASKERS):
            nursery.start_soon(ask, runtime, f"{name}{number}")
        print("ready", flush=True)  # noqa: T201 - what the test waits for
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


async def ask(runtime: Runtime, key: str) -> None:
    """Ask one counter for ever; what becomes of it is seen in its journal."""
    for number in count(1):
        with suppress(rb.RolebookError):
            await runtime.ask(Counter, key, Sign(f"{key}-{number}"))
        await trio.sleep(PACE)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    trio.run(partial(run, *sys.argv[1:]))
