"""`rolebook check`: can this version of an app read everything that is stored for it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import trio

from rolebook.actors import App
from rolebook.actors.codec import Drift, Fingerprint, StoredName

from .._drift import drifts, explain
from ._apps import AppParameter
from ._where import Where, connected, database_options, rows


@click.command(
    epilog="""\b
Examples:
  rolebook check shop.actors:app --database-url postgresql://me@db.example/shop
  rolebook check shop.actors:app && deploy
"""
)
@click.argument("app", type=AppParameter(), metavar="MODULE:APP")
@database_options
@click.option("--strict", is_flag=True, help="Fail for actors and queues that this app does not have, too.")
@click.pass_context
def check(
    context: click.Context,
    app: App,
    *,
    database_url: str | None,
    schema: str,
    data_folder: Path | None,
    strict: bool,
) -> None:
    """Say which stored names and versions an app cannot read. Run it before a new version goes out.

    Events, messages, scheduled messages, dead letters and snapshots are looked at. Exit code 1: some cannot
    be read, or a class of stored events was changed without a new version. A snapshot of another version is
    no error: it is passed over, and the events are replayed.
    """
    stored, shapes = trio.run(_stored, Where(database_url, schema, data_folder, app))
    unread, strangers = sort_out(app, stored)
    changed = drifted(app, stored, shapes)
    for drift in changed:
        click.echo(explain(app, drift))
    for row in strangers:
        click.echo(
            f"{_describe(row)}: this app has no such actor or queue; if no other app has it, see"
            " `rolebook rename-actor`"
        )
    for row in unread:
        click.echo(f"{_describe(row)}: cannot be read; {_remedy(row)}")
    readable = len(stored) - len(unread) - len(strangers)
    total = sum(row["count"] for row in stored)
    click.echo(f"{readable} of {len(stored)} stored names can be read, over {total:,} rows")
    context.exit(1 if unread or changed or (strict and strangers) else 0)


async def _stored(where: Where) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    async with connected(where) as connection:
        return (
            await rows(connection, where, "stored_names"),
            await rows(connection, where, "shapes"),
        )


def drifted(
    app: App, stored: Sequence[Mapping[str, Any]], shapes: Sequence[Mapping[str, Any]]
) -> list[Drift]:
    """Return the classes of events that have stored events of a shape that they do not read."""
    held = {(row["name"], row["version"]) for row in stored if row["kind"] == "event"}
    kept = [
        Fingerprint(row["kind"], row["name"], row["version"], row["shape"])
        for row in shapes
        if (row["app"], row["kind"]) == (app.name, "event") and (row["name"], row["version"]) in held
    ]
    return drifts(app, kept)


def sort_out(
    app: App, stored: Sequence[Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return what the app should read and cannot, and what belongs to no actor or queue of it."""
    readable = set(app.codec.names())
    unread: list[Mapping[str, Any]] = []
    strangers: list[Mapping[str, Any]] = []
    for row in stored:
        if row["owner"] not in app.queues:
            strangers.append(row)
        elif row["kind"] != "state" and StoredName(row["kind"], row["name"], row["version"]) not in readable:
            unread.append(row)
    return unread, strangers


def _describe(row: Mapping[str, Any]) -> str:
    return f"{row['place']} of {row['owner']}: {row['count']:,} of {row['name']} version {row['version']}"


def _remedy(row: Mapping[str, Any]) -> str:
    decorator = f"@{row['kind']}"
    return f"add its class to App(messages=[…]), an alias, or an upcaster from that version to {decorator}"
