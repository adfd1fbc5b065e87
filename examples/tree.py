"""A tree from a TOML file.

    python -m examples.tree [FILE]

Reads examples/tree.toml, or another file, draws it, runs it for three seconds, and draws it again.
Try to break the file: each mistake is told with its place and what to write instead.
"""

import sys
from pathlib import Path
from random import Random

import attrs
import trio

from rolebook.actors import InvalidFile, Stopping, draw, load_configuration, open_supervisor
from rolebook.actors.supervision import Start, Tree


@attrs.frozen
class Settings:
    """What the `[runtime]` table of the file may set."""

    report_every: float = 1.0


async def thermometer() -> None:
    """Fail after a second or so."""
    await trio.sleep(Random().uniform(0.5, 1.5))
    raise OSError("the thermometer fell off the wall")


async def valve(task_status: "trio.TaskStatus[None]") -> None:
    """Take a moment to open."""
    await trio.sleep(0.2)
    task_status.started()
    await trio.sleep_forever()


async def heater(stopping: Stopping) -> None:
    """Cool down when asked to stop."""
    await stopping.wait()
    await trio.sleep(0.3)
    print("the heater is cold")


async def visitor(name: str) -> None:
    """Look around and go."""
    await trio.sleep(Random().uniform(0.1, 2))
    print(f"{name} has seen enough")


CALLABLES: dict[str, Start] = {
    "thermometer": thermometer,
    "valve": valve,
    "heater": heater,
    "visitor": visitor,
}


async def report(tree: Tree, every: float) -> None:
    """Draw the live tree now and then."""
    while True:
        await trio.sleep(every)
        print(f"\n{draw(tree.snapshot())}")


async def main(file: Path) -> None:
    """Run the tree of a file."""
    configuration = load_configuration(file, CALLABLES, Settings)
    assert configuration.tree is not None
    print(draw(configuration.tree))
    async with open_supervisor(configuration.tree) as tree:
        with trio.move_on_after(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(report, tree, configuration.runtime.report_every)
                for name in ("Ada", "Grace", "Joe"):
                    await tree.add("visitors", name, name)


if __name__ == "__main__":
    try:
        trio.run(main, Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("tree.toml"))
    except InvalidFile as error:
        sys.exit(str(error))
