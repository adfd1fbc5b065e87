"""A process that handles what may end it.

    python -m tests.chaos.killing URL NAME

A message with `ends="exit"` ends its process, one with `ends="freeze"` holds the loop until its session has
been ended and others have taken over.
"""

import logging
import os
import sys
import time

import trio
from attrs import define, field, frozen

import rolebook as rb
from tests.chaos.ledger import settings


@rb.command("killing.do")
@frozen
class Do(rb.Command[None]):
    number: int
    ends: str = ""
    seconds: float = 0.0


@rb.event("killing.done")
@frozen
class Done:
    number: int


def end(how: str) -> None:
    """Do what no process survives, or no session."""
    if how == "exit":
        os._exit(9)
    if how == "freeze":
        time.sleep(6)


@rb.actor("doer", retry=rb.Retry(attempts=2))
@define
class Doer:
    numbers: list[int] = field(factory=list[int])

    @rb.decide
    def do(self, command: Do) -> rb.Effects[None]:
        end(command.ends)
        yield Done(command.number)

    @rb.apply
    def done(self, event: Done) -> None:
        self.numbers.append(event.number)


def app() -> rb.App:
    """The app of every process."""
    made = rb.App("killing", actors=[Doer])

    @made.handler("jobs", retry=rb.Retry(attempts=2))
    async def job(command: Do, turn: rb.Turn) -> None:
        await trio.sleep(command.seconds)
        end(command.ends)
        turn.send(rb.Tell(Doer, f"from-{command.number % 16}", Do(command.number)))

    return made


async def run(url: str, name: str) -> None:
    """Run until the input ends."""
    async with rb.open_runtime(app(), database=url, settings=settings(), process=name):
        print("ready", flush=True)  # noqa: T201 - what the test waits for
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    _, database, own_name = sys.argv
    trio.run(run, database, own_name)
