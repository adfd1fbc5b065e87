"""Which database a command is about, and a connection to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import frozen
from psycopg.rows import dict_row

from rolebook.actors import App, InvalidSetting

from .._settings import check_schema_name
from ..postgres import (
    Connection,
    Statements,
    check_schema,
    choose_database,
    connect_session,
    open_database,
)
from ._apps import AppParameter

F = TypeVar("F", bound=Callable[..., Any])

SCHEMA = "rolebook"


@frozen
class Where:
    """What the common options say.

    Attributes:
        database_url: As given; None for `DATABASE_URL`, or else the embedded server.
        schema: The schema that holds the runtime's tables.
        data_folder: Where the embedded server keeps its data.
        app: Whose database on the embedded server; it has the app's name.
    """

    database_url: str | None
    schema: str
    data_folder: Path | None
    app: App | None


def database_options(command: F) -> F:
    """Add the options that say which database a command is about."""
    options = (
        click.option("--database-url", metavar="URL", help="Else DATABASE_URL, else the embedded server."),
        click.option(
            "--schema", default=SCHEMA, show_default=True, callback=_schema, help="Of the runtime's tables."
        ),
        click.option(
            "--data-folder",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            help="Where the embedded server keeps its data.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _schema(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return check_schema_name("schema", value)
    except InvalidSetting as error:
        raise click.BadParameter(str(error)) from None


def app_option(command: F) -> F:
    """Add the option that names an app, for commands that need one only to find its embedded database."""
    option = click.option(
        "--app", type=AppParameter(), metavar="MODULE:APP", help="For its database on the embedded server."
    )
    return option(command)


def tree_option(command: F) -> F:
    """Add the option that names a TOML file with the supervision tree."""
    option = click.option(
        "--tree",
        "tree_file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE",
        help="A TOML file with the supervision tree, and settings in its [runtime] table.",
    )
    return option(command)


@asynccontextmanager
async def connected(where: Where, *, checked: bool = True) -> AsyncGenerator[Connection[Any]]:
    """Open one connection to the database.

    Args:
        where: Which.
        checked: Whether its schema must be exactly this version's.

    Raises:
        UsageError: The options name no database.
        DatabaseError: It cannot be reached, or refuses.
        SchemaError: Its schema is not this version's.
    """
    async with (
        database_of(where) as url,
        await connect_session(url, role="command", process="cli", prepare_threshold=None) as connection,
    ):
        if checked:
            await check_schema(connection, schema=where.schema)
        yield connection


@asynccontextmanager
async def database_of(where: Where) -> AsyncGenerator[str]:
    """Give the URL of the database; the embedded server runs as long as this is open."""
    choice = choose_database(where.database_url)
    if choice.url is None and where.app is None:
        raise click.UsageError(
            "which database? Give --database-url, set DATABASE_URL, or give --app MODULE:APP for that app's"
            " database on the embedded server"
        )
    name = "postgres" if where.app is None else where.app.name
    async with open_database(choice, folder=where.data_folder, database=name) as url:
        yield url


async def rows(
    connection: Connection[Any], where: Where, statement: str, parameters: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Run one named statement; each row as a dict."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(Statements(where.schema)[statement], parameters)
        return await cursor.fetchall() if cursor.description else []


async def execute(where: Where, statement: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Run one named statement on the database that the options name, whatever it does there."""
    async with connected(where) as connection:
        return await rows(connection, where, statement, parameters)
