"""Readable logs: coloured on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys

LEVELS = ("debug", "info", "warning", "error")


def set_up_logging(level: str) -> None:
    """Send the log of the whole process to standard error.

    Args:
        level: One of `LEVELS`.
    """
    root = logging.getLogger()
    root.setLevel(level.upper())
    root.addHandler(_terminal() if sys.stderr.isatty() else _lines())


def _terminal() -> logging.Handler:
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.logging import RichHandler  # noqa: PLC0415

    return RichHandler(console=Console(stderr=True), show_path=False, omit_repeated_times=False)


def _lines() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler
