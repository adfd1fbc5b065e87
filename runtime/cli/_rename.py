"""`rolebook rename-actor`: an actor gets another name, with all that is stored."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from rolebook.actors import App

from ._where import Where, app_option, database_options, execute


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
    renamed = trio.run(execute, where, "rename_actor", (old, new))[0]["rename_actor"]
    click.echo(f"{old} is now {new}: {renamed} events")
