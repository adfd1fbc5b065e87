"""A supervision tree without any database, to watch in the terminal.

    python -m examples.supervision

A plant: a sensor that fails every now and then, a gateway whose link and protocol live and die together,
and an aggregator that is broken for good and gets parked, until somebody repairs it and resumes it.
It runs for about eight seconds.
In a terminal the live tree is shown above the events; elsewhere only the events are printed.
Needs the `cli` extra.
"""

import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from random import Random

import attrs
import trio
from rich.console import Group
from rich.live import Live
from rich.text import Text

from rolebook.actors import Backoff, Child, Stopping, Supervisor, Tree, draw
from rolebook.actors.supervision import (
    ChildCrashed,
    ChildParked,
    RestartScheduled,
    SupervisionEvent,
)


@attrs.define(eq=False)
class Plant:
    """What the children share: a channel of measurements, and whether the aggregator is broken."""

    random: Random
    send: trio.MemorySendChannel[float]
    receive: trio.MemoryReceiveChannel[float]
    is_broken: bool = True
    total: float = 0.0

    async def sensor(self) -> None:
        """Measure ten times a second; fail once in fifteen."""
        while True:
            await trio.sleep(0.1)
            if self.random.random() < 1 / 15:
                raise OSError("the sensor does not answer")
            self.send.send_nowait(self.random.gauss(20, 1))

    async def link(self, task_status: "trio.TaskStatus[None]") -> None:
        """Need a moment to connect; break after three seconds."""
        await trio.sleep(0.3)
        task_status.started()
        await trio.sleep(3)
        raise ConnectionResetError("the link is down")

    async def protocol(self, stopping: Stopping) -> None:
        """Say goodbye when asked to stop."""
        await stopping.wait()
        await trio.sleep(0.2)

    async def aggregator(self) -> None:
        """Sum up, unless broken."""
        async for measurement in self.receive:
            if self.is_broken:
                raise ZeroDivisionError("no calibration")
            self.total += measurement

    def tree(self) -> Supervisor:
        """The tree as a value."""
        quick = Backoff(first=0.2, cap=2)
        return Supervisor(
            "plant",
            (
                Child("sensor", self.sensor),
                Supervisor(
                    "gateway",
                    (Child("link", self.link), Child("protocol", self.protocol, shutdown=1)),
                    strategy="one_for_all",
                    backoff=quick,
                ),
                Supervisor(
                    "reports",
                    (Child("aggregator", self.aggregator, mailbox=self.receive.statistics),),
                    max_restarts=2,
                    within=10,
                    on_exhausted="park",
                    backoff=quick,
                ),
            ),
            max_restarts=20,
            backoff=quick,
        )


def told(event: SupervisionEvent, began: float) -> str:
    """One line about an event."""
    line = f"{event.at - began:5.2f} s  {type(event).__name__:17} {event.path}"
    match event:
        case ChildCrashed():
            return f"{line}: {event.error}"
        case RestartScheduled():
            return f"{line}: {', '.join(event.children)} in {event.delay:.2f} s"
        case ChildParked():
            return f"{line}: it stays down until it is resumed"
        case _:
            return line


@asynccontextmanager
async def shown(tree: Tree) -> AsyncGenerator[None, None]:
    """Show the events, and the live tree if there is a terminal to show it in."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        if sys.stdout.isatty():
            nursery.start_soon(show_live, tree, began)
        else:
            nursery.start_soon(print_events, tree, began)
        yield


async def print_events(tree: Tree, began: float) -> None:
    async with tree.events() as events:
        async for event in events:
            print(told(event, began))
    print(draw(tree.snapshot()))


async def show_live(tree: Tree, began: float) -> None:
    lines: list[str] = []
    async with tree.events() as events:
        with Live(refresh_per_second=10) as live:
            while tree.snapshot().state != "stopped":
                with trio.move_on_after(0.1), suppress(trio.EndOfChannel):
                    lines.append(told(await events.receive(), began))
                live.update(Group(Text(draw(tree.snapshot())), Text(), *map(Text, lines[-12:])))


async def main() -> None:
    """Run the plant, repair it, and stop it."""
    logging.getLogger("rolebook.supervision").addHandler(logging.NullHandler())  # the events tell it all
    send, receive = trio.open_memory_channel[float](1000)
    plant = Plant(Random(4), send, receive)
    tree = Tree(plant.tree(), random=Random(4))
    async with send, receive, shown(tree), trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await trio.sleep(6)
        plant.is_broken = False
        await tree.resume("reports/aggregator")
        await trio.sleep(2)
        tree.request_stop()


if __name__ == "__main__":
    trio.run(main)
