"""The front door of the command line; it opens even if what stands behind it is not installed."""

import sys
from collections.abc import Sequence
from importlib import import_module

_EXTRA = ("click", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The process's own by default.

    Returns:
        0: done. 1: it could not be done, or a check failed. 2: the command line is wrong.
        128 + n: ended by signal n.
    """
    try:
        for name in _EXTRA:
            import_module(name)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"error: the command line needs {error.name}: pip install '.[cli]' in a clone of Rolebook\n"
        )
        return 1
    from ._commands import run  # noqa: PLC0415 - it imports click, which may be missing

    return run(arguments)
