"""The load of the scenarios: transfers, passes and asks, each noted when it is acknowledged."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

import rolebook as rb
from rolebook.runtime import Client
from tests.chaos.scene import PACE, Senders

from .office import Counter, Pass, Relay, Sign
from .records import Answer, Records, counter_of

PATIENCE = 3.0
"""Seconds that an ask may take. One that is on its way through a mailbox which its server forgets is answered
by nobody: it has a deadline, as the reference advises, and is asked again if it has a key."""


async def passing(runtime: Client, records: Records, sender: str) -> None:
    """Tell a relay one number after the other."""
    number = 0
    while True:
        number += 1
        id_ = f"{sender}-{number}"
        records.passes.unknown.add(id_)
        try:
            await runtime.tell(Relay, sender, Pass(sender, number))
        except rb.OutcomeUnknown:
            continue
        records.passes.unknown.discard(id_)
        records.passes.accepted.append(id_)
        await trio.sleep(PACE)


async def asking(runtime: Client, records: Records, asker: int, *, once: bool) -> None:
    """Ask a counter again and again; with an idempotency key each until it is answered."""
    name = f"{'o' if once else 'p'}{asker}"
    number = 0
    while True:
        number += 1
        await _ask(runtime, records, counter_of(asker), f"{name}-{number}", once=once)
        await trio.sleep(PACE)


async def _ask(runtime: Client, records: Records, key: str, id_: str, *, once: bool) -> None:
    records.asks.unknown.add(id_)
    while True:
        try:
            with trio.fail_after(PATIENCE):
                reply = await runtime.ask(Counter, key, Sign(id_), idempotency_key=id_ if once else None)
        except (rb.OutcomeUnknown, trio.TooSlowError):
            if once:
                continue
            return
        except rb.RolebookError as error:  # its actor is broken, most of all: nobody should see that
            records.errors.append(f"{id_}: {type(error).__name__}: {error}")
            await trio.sleep(0.1)
            return
        records.asks.unknown.discard(id_)
        records.asks.accepted.append(id_)
        records.answers[id_] = Answer(key, reply)
        return


@asynccontextmanager
async def under_load(runtime: Client, records: Records, senders: int = 3) -> AsyncGenerator[None]:
    """Send and ask for the length of a block; at its end nothing of it is under way."""
    group = Senders(records.transfers)
    async with trio.open_nursery() as nursery:
        for number in range(senders):
            nursery.start_soon(group.through, runtime, f"s{number}")
            nursery.start_soon(passing, runtime, records, f"r{number}")
            nursery.start_soon(lambda n: asking(runtime, records, n, once=False), number)
            nursery.start_soon(lambda n: asking(runtime, records, n, once=True), number)
        yield
        nursery.cancel_scope.cancel()
