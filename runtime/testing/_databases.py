"""Throw-away databases: on a server that somebody runs for tests, or on one of their own.

Everything here blocks: it runs before and after a test, outside of Trio.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rolebook.actors import RolebookError

from ..postgres.embedded import EmbeddedError, PostgresServer

VARIABLE: Final = "TEST_DATABASE_URL"

# The data lives as long as the test: what is lost with the machine need not be flushed to its disk.
_SETTINGS: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@final
class NoDatabase(RolebookError):
    """There is no server for a test's database; the text says why, and what helps."""


@contextmanager
def open_server() -> Generator[str]:
    """Give the URL of a server on which databases may be created and dropped.

    It is the one that `TEST_DATABASE_URL` names, or else an embedded one of one's own, which is removed at
    the end. `DATABASE_URL` is never used: it may be where somebody's data is.

    Raises:
        NoDatabase: The server that is named cannot be reached, or an embedded one cannot be started.
    """
    url = os.environ.get(VARIABLE)
    if url:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            raise NoDatabase(f"{VARIABLE} names a server that cannot be reached: {error}") from error
        yield url
        return
    with _temporary_folder() as folder:
        server = _start(folder)
        try:
            yield server.url
        finally:
            server.stop()
            server.close()


def _start(folder: Path) -> PostgresServer:
    try:
        server = PostgresServer(folder, settings=_SETTINGS)
        server.start()
    except EmbeddedError as error:
        raise NoDatabase(
            f"{error}\n\nOr set {VARIABLE} to a server on which the tests may create and drop databases"
        ) from error
    return server


@contextmanager
def _temporary_folder() -> Generator[Path]:
    """A folder that every account may enter: if we are root, the server runs as another one."""
    folder = Path(tempfile.mkdtemp(prefix="rolebook-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_database(server_url: str, template: str = "template0") -> Generator[str]:
    """Give the URL of a new database, which is dropped at the end whoever is still connected."""
    url = create_database(server_url, template)
    try:
        yield url
    finally:
        drop_database(server_url, url)


def create_database(server_url: str, template: str = "template0") -> str:
    """Create a database with a name of its own and return its URL."""
    name = f"rolebook_test_{uuid.uuid4().hex[:12]}"
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    return make_conninfo(server_url, dbname=name)


def drop_database(server_url: str, url: str) -> None:
    """Drop the database of a URL that `create_database` returned, and end the sessions in it."""
    name = str(conninfo_to_dict(url)["dbname"])
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
