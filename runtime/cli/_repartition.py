"""`rolebook repartition`: another number of partitions for every queue."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from rolebook.actors import App

from .._settings import MOST_PARTITIONS
from ._where import Where, app_option, database_options, execute


@click.command(
    epilog="""\b
Examples:
  rolebook repartition 64 --app shop.actors:app
  rolebook repartition 64 --database-url postgresql://me@db.example/shop
""",
)
@database_options
@app_option
@click.argument("partitions", type=click.IntRange(1, MOST_PARTITIONS))
def repartition(
    database_url: str | None, schema: str, data_folder: Path | None, app: App | None, *, partitions: int
) -> None:
    """Change the number of partitions of every queue, and so how many processes can share one.

    No process may work on the database meanwhile, and none that only sends. Each waiting message is given its
    partition anew; what is stored of actors stays as it is.
    """
    where = Where(database_url, schema, data_folder, app)
    placed = trio.run(execute, where, "repartition", (partitions,))[0]["repartition"]
    click.echo(f"every queue has {partitions} partitions now; {placed} waiting messages were placed anew")
