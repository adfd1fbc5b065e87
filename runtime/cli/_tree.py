"""`rolebook tree`: the supervision tree of an app, as configured."""

from __future__ import annotations

from pathlib import Path

import click

from rolebook.actors import App
from rolebook.actors.supervision import draw

from .._tree import configured_tree
from ._apps import AppParameter
from ._where import tree_option


@click.command(
    epilog="""\b
Examples:
  rolebook tree shop.actors:app
  rolebook tree shop.actors:app --tree tree.toml
  kill -USR1 PID            prints the live tree of a running `rolebook run`
"""
)
@click.argument("app", type=AppParameter(), metavar="MODULE:APP")
@tree_option
def tree(app: App, *, tree_file: Path | None) -> None:
    """Draw the supervision tree of an app, as configured: nothing is started, no database is needed."""
    click.echo(draw(configured_tree(app, arrangement=tree_file)))
