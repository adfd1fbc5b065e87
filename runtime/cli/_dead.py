"""`rolebook dead`: dead letters, and how they come back."""

from __future__ import annotations

from pathlib import Path

import click
import trio
from rich.table import Table

from rolebook.actors import App

from ..contract import headline
from ._showing import print_table
from ._where import Where, app_option, database_options, execute


@click.group(
    epilog="""\b
Examples:
  rolebook dead list --queue mail
  rolebook dead show 17
  rolebook dead redrive 17 18
  rolebook dead redrive --queue mail
"""
)
def dead() -> None:
    """Look at dead letters, and put them back into their mailboxes."""


@dead.command("list")
@database_options
@app_option
@click.option("--queue", metavar="NAME", help="Only those of one queue, or actor.")
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, metavar="N")
def list_(
    database_url: str | None,
    schema: str,
    data_folder: Path | None,
    app: App | None,
    *,
    queue: str | None,
    most: int,
) -> None:
    """List dead letters, the newest first."""
    letters = trio.run(
        execute, Where(database_url, schema, data_folder, app), "dead_letters", (queue, queue, most)
    )
    if not letters:
        click.echo("no dead letters")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "died", "queue", "key", "type", "attempts", "error"):
        table.add_column(name, justify="right" if name in ("id", "attempts") else "left")
    for letter in letters:
        table.add_row(
            str(letter["id"]),
            f"{letter['died_at']:%Y-%m-%d %H:%M:%S}",
            letter["queue"],
            letter["key"] or "",
            f"{letter['type']} v{letter['version']}",
            str(letter["attempts"]),
            headline(letter["error"]),
        )
    print_table(table)


@dead.command()
@database_options
@app_option
@click.argument("letter", type=int, metavar="ID")
def show(
    database_url: str | None, schema: str, data_folder: Path | None, app: App | None, *, letter: int
) -> None:
    """Show one dead letter whole: its payload as it was, and the error that ended it."""
    found = trio.run(execute, Where(database_url, schema, data_folder, app), "dead_letter", (letter,))
    if not found:
        raise click.ClickException(f"there is no dead letter {letter}: see `rolebook dead list`")
    for name, value in found[0].items():
        click.echo(f"{name:11} {'' if value is None else value}")


@dead.command()
@database_options
@app_option
@click.argument("letters", type=int, nargs=-1, metavar="[ID]...")
@click.option("--queue", metavar="NAME", help="All those of one queue, or actor.")
@click.option("--all", "everything", is_flag=True, help="All there are.")
def redrive(
    database_url: str | None,
    schema: str,
    data_folder: Path | None,
    app: App | None,
    *,
    letters: tuple[int, ...],
    queue: str | None,
    everything: bool,
) -> None:
    """Put dead letters back into their mailboxes, with no attempts counted."""
    if sum((bool(letters), queue is not None, everything)) != 1:
        raise click.UsageError("give ids, or --queue NAME, or --all")
    where = Where(database_url, schema, data_folder, app)
    moved = trio.run(execute, where, "redrive", (list(letters) or None, queue))[0]["redrive"]
    click.echo(f"{moved} back in their mailboxes")
    if letters and moved < len(set(letters)):
        raise click.ClickException(f"{len(set(letters)) - moved} of these ids are no dead letters")
