"""`rolebook migrate` and `rolebook rebase`: what is done to a schema as a whole."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from rolebook.actors import App

from .._settings import PARTITIONS
from ..postgres import migrate as migrate_schema
from ..postgres import rebase as rebase_schema
from ._where import Where, app_option, connected, database_options


@click.command(
    epilog="""\b
Examples:
  rolebook migrate --database-url postgresql://owner@db.example/shop
  rolebook migrate --app shop.actors:app      its database on the embedded server
"""
)
@database_options
@app_option
@click.option(
    "--partitions",
    type=click.IntRange(1, 1024),
    default=PARTITIONS,
    show_default=True,
    help="Of each queue; fixed for the life of a database, so only a new one looks at this.",
)
def migrate(
    database_url: str | None, schema: str, data_folder: Path | None, app: App | None, *, partitions: int
) -> None:
    """Bring a database's schema up to date.

    An app does so itself when it starts. Run this where the app's own role may not create tables.
    """
    where = Where(database_url, schema, data_folder, app)
    trio.run(_migrate, where, partitions)


async def _migrate(where: Where, partitions: int) -> None:
    async with connected(where, checked=False) as connection:
        applied = await migrate_schema(connection, schema=where.schema, partitions=partitions)
    for migration in applied:
        click.echo(f"applied {migration.version:04d}_{migration.name}")
    click.echo(f"schema {where.schema!r} is up to date")


@click.command(
    epilog="""\b
Example:
  pg_restore --dbname postgresql://owner@new.example/shop shop.dump
  rolebook rebase --database-url postgresql://owner@new.example/shop
"""
)
@database_options
@app_option
def rebase(database_url: str | None, schema: str, data_folder: Path | None, app: App | None) -> None:
    """Make a restored dump usable: rewrite the stored transaction ids.

    Transaction ids start over in another cluster, so those in a dump mean nothing there, and an app refuses
    to start. This rewrites them, keeping every order they told. Run it once, with no process of the app at
    work. What belongs to this cluster already is left alone.
    """
    trio.run(_rebase, Where(database_url, schema, data_folder, app))


async def _rebase(where: Where) -> None:
    async with connected(where, checked=False) as connection:
        done = await rebase_schema(connection, schema=where.schema)
    if done is None:
        click.echo(f"schema {where.schema!r} belongs to this cluster: nothing to do")
    else:
        click.echo(
            f"rebased {done.events:,} events, {done.messages:,} messages and {done.checkpoints:,} checkpoints"
        )
