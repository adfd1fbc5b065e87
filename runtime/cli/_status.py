"""`rolebook status`: what waits, who works, and what holds the server up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import trio
from rich.table import Table

from rolebook.actors import App

from ._showing import print_table
from ._where import Where, app_option, connected, database_options, rows

_NUMBERS = ("depth", "delayed", "oldest", "scheduled", "dead")


@click.command(
    epilog="""\b
Examples:
  rolebook status --database-url postgresql://me@db.example/shop
  rolebook status --app shop.actors:app
  rolebook status --json | jq '.queues[] | select(.depth > 1000)'
"""
)
@database_options
@app_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(
    database_url: str | None, schema: str, data_folder: Path | None, app: App | None, *, as_json: bool
) -> None:
    """Show every queue, who owns its partitions, and what keeps dead rows alive.

    depth: messages in the mailbox; delayed: those of them that wait for a retry; oldest: since the oldest was
    sent; scheduled: messages for later; dead: dead letters; owners: processes, and how many partitions each
    has.
    """
    queues, holder = trio.run(_read, Where(database_url, schema, data_folder, app))
    if as_json:
        click.echo(json.dumps({"queues": queues, "oldest_xmin": holder}, indent=2))
        return
    _show(queues)
    if holder is not None:
        click.echo(
            f"\noldest snapshot: {holder['holder']}; {holder['age']:,} transactions have begun since,"
            " and what they delete is kept for it"
        )


async def _read(where: Where) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    async with connected(where) as connection:
        queues = await rows(connection, where, "status_queues")
        holders = await rows(connection, where, "oldest_xmin")
    for queue in queues:
        queue["owners"] = json.loads(queue["owners"])
    return queues, holders[0] if holders else None


def _show(queues: list[dict[str, Any]]) -> None:
    if not queues:
        click.echo("no queues yet: no app has run on this database")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("queue")
    for name in _NUMBERS:
        table.add_column(name, justify="right")
    table.add_column("owners")
    for queue in queues:
        numbers = [f"{queue[name]:,}" if name != "oldest" else _ago(queue[name]) for name in _NUMBERS]
        table.add_row(queue["queue"], *numbers, _owners(queue))
    print_table(table)


def _owners(queue: Mapping[str, Any]) -> str:
    free = queue["partitions"] - queue["owned"]
    owners = [f"{name} {count}" for name, count in sorted(queue["owners"].items())]
    return ", ".join([*owners, *([f"{free} free"] if free else [])])


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
