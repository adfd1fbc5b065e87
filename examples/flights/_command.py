"""The command line of the demo: its options, its signals, its exit codes."""

import argparse
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import trio
from rich.console import Console

from rolebook import RolebookError

from ._demo import Options, demo
from ._file import DataError
from ._loading import ProgressError
from ._starting_over import CannotStartOver

EXPECTED = (RolebookError, DataError, ProgressError, CannotStartOver)
"""What is told in a sentence; anything else is a bug and shows where it is."""

YEAR = tuple(range(1, 13))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Returns:
        0: every total is right. 1: one is not, or the demo could not run. 128 + n: ended by signal n.
    """
    options = _options(arguments)
    console = Console(highlight=False)
    try:
        return trio.run(_until_signal, options, console)
    except KeyboardInterrupt:  # before the receiver of signals was there, or after it had gone
        return _interrupted(console, signal.SIGINT)
    except Exception as error:
        reasons = list(_leaves(error))
        if not all(isinstance(reason, EXPECTED) for reason in reasons):
            raise
        for reason in reasons:
            console.print(f"error: {reason}", style="red", markup=False, soft_wrap=True)
        return 1


async def _until_signal(options: Options, console: Console) -> int:
    """Run the demo until its end, or until the first signal."""
    received: int | None = None
    code = 0
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                nonlocal received
                async for number in signals:
                    received = number
                    nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            code = await demo(options, console)
            nursery.cancel_scope.cancel()
    # Said only now, when the progress bar is gone.
    return code if received is None else _interrupted(console, received)


def _interrupted(console: Console, number: int) -> int:
    console.print(f"Interrupted by {signal.Signals(number).name}: start it again to go on from here.")
    return 128 + number


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    group = cast("ExceptionGroup[Exception]", error)
    for part in group.exceptions:
        yield from _leaves(part)


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m examples.flights",
        description="A year of flights from New York, each aircraft and airline an event-sourced actor.",
        epilog="Interrupt it in any way and start it again: it goes on where it was.",
    )
    add = parser.add_argument
    add("--months", type=_months, default=(1,), metavar="1,2,3", help="which months, or `all`; January")
    add("--fresh", action="store_true", help="throw away what earlier runs stored, and start over")
    add("--database-url", metavar="URL", help="your own PostgreSQL; else DATABASE_URL, else an embedded one")
    add("--data-folder", type=Path, metavar="FOLDER", help="where the embedded server keeps its data")
    add("--file", type=Path, metavar="CSV", help="other flights with the same columns")
    add("--limit", type=int, metavar="N", help="only the first N flights of each month")
    return Options(**vars(parser.parse_args(arguments)))


def _months(text: str) -> tuple[int, ...]:
    if text == "all":
        return YEAR
    try:
        months = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        months = ()
    if not months or not set(months) <= set(YEAR):
        raise argparse.ArgumentTypeError(f"{text!r}: give months like 1,2,3, or all")
    return months
