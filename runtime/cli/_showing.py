"""Tables for people and for pipes."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table

_WIDE: Final = 10_000
"""Columns of what is no terminal: a line stays a line, for `grep` and for copying."""


def print_table(table: Table) -> None:
    """Print a table. What does not fit a terminal is folded, never cut: names have to be copied from it."""
    for column in table.columns:
        column.overflow = "fold"
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)
