"""`rolebook parked` and `rolebook broken`: keys that are stopped, and how they go on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click
import trio
from rich.table import Table

from rolebook.actors import App

from ..contract import StoppedKey
from ._showing import print_table
from ._where import Where, app_option, connected, database_options, execute, rows


def _group(state: Literal["parked", "broken"], what: str) -> click.Group:
    """Return the commands for the keys in one of the two states."""
    group = click.Group(
        state,
        help=f"Look at {what}, and let them go on.",
        epilog=f"""\b
Examples:
  rolebook {state} list
  rolebook {state} resume account alice
  rolebook {state} resume --all --reason ConnectionError --dry-run
  rolebook {state} resume --all --reason ConnectionError
  rolebook {state} resume account --all
""",
    )

    @group.command("list", help=f"List {what}, and why each is {state}.")
    @database_options
    @app_option
    @click.option("--queue", metavar="NAME", help="Only those of one queue, or actor.")
    def list_(
        database_url: str | None, schema: str, data_folder: Path | None, app: App | None, *, queue: str | None
    ) -> None:
        found = _stopped(Where(database_url, schema, data_folder, app), queue)
        _show([each for each in found if each.state == state], state)

    @group.command(
        "resume", help=f"Let a {state} key go on: its first message is tried again, then the others."
    )
    @database_options
    @app_option
    @click.option("--all", "every", is_flag=True, help="All that are listed, or all of QUEUE.")
    @click.option("--reason", metavar="TEXT", help="With --all: those whose reason contains this.")
    @click.option("--dry-run", is_flag=True, help="With --all: say how many there are, and do nothing.")
    @click.argument("queue", required=False)
    @click.argument("key", required=False)
    def resume(
        database_url: str | None,
        schema: str,
        data_folder: Path | None,
        app: App | None,
        *,
        every: bool,
        reason: str | None,
        dry_run: bool,
        queue: str | None,
        key: str | None,
    ) -> None:
        where = Where(database_url, schema, data_folder, app)
        found = [each for each in _stopped(where, queue) if each.state == state]
        if every:
            if key is not None:
                raise click.UsageError("give a key, or --all")
            chosen = [each for each in found if reason is None or reason in each.reason]
            click.echo(f"{len(chosen)} of {len(found)} {state} keys {'would go on' if dry_run else 'go on'}")
            if not dry_run:
                trio.run(_resume_all, where, chosen)
            return
        if queue is None or key is None or reason is not None or dry_run:
            raise click.UsageError("name a QUEUE and a KEY, or give --all")
        if (queue, key) not in {(each.queue, each.key) for each in found}:
            raise click.ClickException(f"{queue}/{key} is not {state}: see `rolebook {state} list`")
        resumed = trio.run(execute, where, "resume", (queue, key))[0]["resume"]
        click.echo(f"{queue}/{key} goes on: {resumed} {state}")

    return group


async def _resume_all(where: Where, chosen: list[StoppedKey]) -> None:
    """Resume key by key, each in a transaction of its own, so that nobody waits for all of them."""
    async with connected(where) as connection:
        with click.progressbar(chosen, label="resumed", file=sys.stderr) as steps:
            for each in steps:
                await rows(connection, where, "resume", (each.queue, each.key))


def _stopped(where: Where, queue: str | None) -> list[StoppedKey]:
    found = trio.run(execute, where, "all_stopped", (queue, queue))
    return [StoppedKey.of_row(**row) for row in found]


def _show(found: list[StoppedKey], state: str) -> None:
    if not found:
        click.echo(f"nothing is {state}")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("queue", "key", "attempts", "reason"):
        table.add_column(name, justify="right" if name == "attempts" else "left")
    for each in found:
        table.add_row(each.queue, each.key, str(each.attempts), each.headline)
    print_table(table)


parked = _group("parked", 'keys that `on_failure="park"` stopped after a failure')
broken = _group("broken", "actors whose journal cannot be replayed")
