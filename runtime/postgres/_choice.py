"""Which database a program uses: `--database-url` beats `DATABASE_URL` beats the embedded server.

A database that was configured and does not work is an error, never a silent fall-back to another one: the
user's data would seem to be gone.
"""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import final

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict

from rolebook.actors import RolebookError

from .embedded import open_embedded

EMBEDDED = "embedded"
"""What to give as a URL to ask for the embedded server although `DATABASE_URL` is set."""


@final
class DatabaseUrlError(RolebookError):
    """A configured database URL that PostgreSQL's client cannot read.

    The message says where it was configured and never repeats it: it may hold a password.
    """


@final
@attrs.frozen
class DatabaseChoice:
    """The database a program uses, and why.

    Args:
        url: how to connect, or None for the embedded server.
        source: what decided, such as `"--database-url"`.
    """

    url: str | None
    source: str

    def __str__(self) -> str:
        """One line for the log, without the password."""
        if self.url is None:
            return f"database: embedded PostgreSQL ({self.source})"
        parts = conninfo_to_dict(self.url)
        host = parts.get("host") or parts.get("hostaddr") or "the default host"
        port = f":{parts['port']}" if parts.get("port") else ""
        user = f" as {parts['user']}" if parts.get("user") else ""
        name = parts.get("dbname") or parts.get("service") or "the default database"
        return f"database: {name} at {host}{port}{user} ({self.source})"


def choose_database(
    explicit: str | None = None, environment: Mapping[str, str] | None = None
) -> DatabaseChoice:
    """Choose a database; nothing is connected to.

    Args:
        explicit: what the user gave as `--database-url` or as an argument; `"embedded"` asks for the embedded
            server although `DATABASE_URL` is set.
        environment: the process's own by default; an empty `DATABASE_URL` counts as none.

    Raises:
        DatabaseUrlError: the configured URL cannot be read.

    Example:
        >>> str(choose_database("postgresql://me:secret@db.example/bank"))
        'database: bank at db.example as me (--database-url)'
    """
    if explicit == EMBEDDED:
        return DatabaseChoice(None, "--database-url")
    if explicit is not None:
        return _configured(explicit, "--database-url")
    if url := (os.environ if environment is None else environment).get("DATABASE_URL"):
        return _configured(url, "DATABASE_URL")
    return DatabaseChoice(None, "neither --database-url nor DATABASE_URL is given")


@asynccontextmanager
async def open_database(
    choice: DatabaseChoice, *, folder: Path | None = None, database: str = "postgres"
) -> AsyncGenerator[str]:
    """Give the URL of the chosen database; the embedded server runs as long as this is open.

    Args:
        choice: from `choose_database`.
        folder: where the embedded server keeps its data; the user's data folder by default.
        database: the database's name on the embedded server, created if it does not exist.

    Raises:
        BinariesNotFoundError: the embedded server was chosen and there is no PostgreSQL on this machine.
        EmbeddedError: the embedded server did not start.
    """
    if choice.url is not None:
        yield choice.url
        return
    async with open_embedded(folder, database=database) as server:
        yield server.url_of(database)


def _configured(url: str, source: str) -> DatabaseChoice:
    remedy = "write it like postgresql://user:password@host:5432/name"
    if not url.strip():
        raise DatabaseUrlError(f"The database URL in {source} is empty: {remedy}")
    try:
        conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeError):
        raise DatabaseUrlError(f"The database URL in {source} cannot be read: {remedy}") from None
    return DatabaseChoice(url, source)
