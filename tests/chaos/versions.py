"""An app in two versions, and a process that runs one of them until its input ends.

    python -m tests.chaos.versions URL NAME VERSION [blind]

It sends numbers to a few lists without a pause, and prints how many of them it sent, and how many actors were
broken in it. A blind one takes what it is too old for: the control.
"""

import sys
from typing import Any

import trio
from attrs import Factory, define, frozen

import rolebook as rb
from rolebook.runtime import _assembly
from tests.chaos.ledger import settings

LISTS = 12


@rb.command("lists.add")
@frozen
class FirstAdd(rb.Command[None]):
    sender: str
    number: int


@rb.command("lists.add", version=2, upcast={1: lambda old: {**old, "note": "old"}})
@frozen
class SecondAdd(rb.Command[None]):
    sender: str
    number: int
    note: str


@rb.event("lists.added")
@frozen
class FirstAdded:
    sender: str
    number: int


@rb.event("lists.added", version=2, upcast={1: lambda old: {**old, "note": "older"}})
@frozen
class SecondAdded:
    sender: str
    number: int
    note: str


@rb.actor("list")
@define
class FirstList:
    numbers: dict[str, list[int]] = Factory(dict[str, list[int]])

    @rb.decide
    def add(self, command: FirstAdd) -> rb.Effects[None]:
        yield FirstAdded(command.sender, command.number)

    @rb.apply
    def added(self, event: FirstAdded) -> None:
        self.numbers.setdefault(event.sender, []).append(event.number)


@rb.actor("list")
@define
class SecondList:
    numbers: dict[str, list[int]] = Factory(dict[str, list[int]])

    @rb.decide
    def add(self, command: SecondAdd) -> rb.Effects[None]:
        yield SecondAdded(command.sender, command.number, command.note)

    @rb.apply
    def added(self, event: SecondAdded) -> None:
        self.numbers.setdefault(event.sender, []).append(event.number)


def make_app(version: int) -> rb.App:
    """The app in one of its versions: the second has one more field in its command and in its event."""
    return rb.App("lists", actors=[FirstList if version == 1 else SecondList])


async def nothing_is_too_new(*_: object) -> dict[str, str]:
    """Decline no queue."""
    return {}


async def run(url: str, name: str, version: int) -> None:
    """Run until the input ends."""
    ending = trio.Event()

    async def send(runtime: rb.Runtime) -> None:
        number = 0
        while not ending.is_set():
            command: Any = FirstAdd(name, number) if version == 1 else SecondAdd(name, number, "new")
            await runtime.tell("list", f"l{number % LISTS}", command)
            number += 1
            await trio.sleep(0.002)
        print(number, len(await runtime.broken()), flush=True)  # noqa: T201 - what the test counts

    async with (
        rb.open_runtime(make_app(version), database=url, settings=settings(), process=name) as runtime,
        trio.open_nursery() as nursery,
    ):
        print("ready", flush=True)  # noqa: T201 - what the test waits for
        nursery.start_soon(send, runtime)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        ending.set()


if __name__ == "__main__":
    if sys.argv[4:] == ["blind"]:
        setattr(_assembly, "too_new", nothing_is_too_new)  # noqa: B010 - the name is imported there
    trio.run(run, sys.argv[1], sys.argv[2], int(sys.argv[3]))
