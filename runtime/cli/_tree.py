"""`understudy tree`: the supervision tree of an app, as configured."""

from __future__ import annotations

import click

from understudy.actors import App
from understudy.actors.supervision import draw

from .._tree import configured_tree
from ._apps import AppParameter


@click.command(
    epilog="""\b
Examples:
  understudy tree shop.actors:app
  kill -USR1 PID            prints the live tree of a running `understudy run`
"""
)
@click.argument("app", type=AppParameter(), metavar="MODULE:APP")
def tree(app: App) -> None:
    """Draw the supervision tree of an app, as configured: nothing is started, no database is needed."""
    click.echo(draw(configured_tree(app)))
