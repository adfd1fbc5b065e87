"""`rolebook parked`: keys that are stopped, and how they go on. `rolebook rename-actor`."""

from __future__ import annotations

from pathlib import Path

import click
import trio
from rich.table import Table

from rolebook.actors import App

from ._dead import read
from ._showing import print_table
from ._where import Where, app_option, database_options

_WIDTH = 70


@click.group(
    epilog="""\b
Examples:
  rolebook parked list
  rolebook parked resume account alice
"""
)
def parked() -> None:
    """Look at keys that are stopped after a failure, and let them go on."""


@parked.command("list")
@database_options
@app_option
@click.option("--queue", metavar="NAME", help="Only those of one queue, or actor.")
def list_(
    database_url: str | None, schema: str, data_folder: Path | None, app: App | None, *, queue: str | None
) -> None:
    """List the keys that wait to be resumed, and why."""
    found = trio.run(read, Where(database_url, schema, data_folder, app), "all_parked", (queue, queue))
    if not found:
        click.echo("nothing is parked")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("queue", "key", "attempts", "error"):
        table.add_column(name, justify="right" if name == "attempts" else "left")
    for each in found:
        error = each["error"].strip().partition("\n")[0]
        shown = error if len(error) <= _WIDTH else error[: _WIDTH - 1] + "…"
        table.add_row(each["queue"], each["key"], str(each["attempts"]), shown)
    print_table(table)


@parked.command()
@database_options
@app_option
@click.argument("queue")
@click.argument("key")
def resume(
    database_url: str | None,
    schema: str,
    data_folder: Path | None,
    app: App | None,
    *,
    queue: str,
    key: str,
) -> None:
    """Let a parked key go on: its first message is tried again, and the others follow in order."""
    where = Where(database_url, schema, data_folder, app)
    resumed = trio.run(read, where, "resume", (queue, key))[0]["resume"]
    if not resumed:
        raise click.ClickException(f"{queue}/{key} is not parked: see `rolebook parked list`")
    click.echo(f"{queue}/{key} goes on: {resumed} parked")


@click.command(
    "rename-actor",
    epilog="""\b
Examples:
  rolebook rename-actor account ledger.account
""",
)
@database_options
@app_option
@click.argument("old")
@click.argument("new")
def rename_actor(
    database_url: str | None,
    schema: str,
    data_folder: Path | None,
    app: App | None,
    *,
    old: str,
    new: str,
) -> None:
    """Give an actor another name: its journal, snapshots and messages. No process may run it meanwhile."""
    where = Where(database_url, schema, data_folder, app)
    renamed = trio.run(read, where, "rename_actor", (old, new))[0]["rename_actor"]
    click.echo(f"{old} is now {new}: {renamed} events")
