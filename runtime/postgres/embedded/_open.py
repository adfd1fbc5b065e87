"""The embedded server in a Trio program."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from os import PathLike
from pathlib import Path

import trio

from ._binaries import find_binaries
from ._folders import default_folder
from ._server import PostgresServer


@asynccontextmanager
async def open_embedded(
    folder: Path | None = None,
    *,
    database: str = "postgres",
    binaries: str | PathLike[str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> AsyncGenerator[PostgresServer]:
    """Start a PostgreSQL of our own, or join the one that runs in `folder`, and give it back at the end.

    The start happens in a worker thread. A cancellation is heard between its steps and then undoes it; the
    thread is never abandoned. On a fresh folder the start takes about a second, else a quarter of one. The
    server is stopped about a second after its last user closed it or was killed.

    Args:
        folder: holds one data folder per major version; the user's data folder by default.
        database: created if it does not exist.
        binaries: the folder of `initdb`, `pg_ctl` and `postgres`; found by `find_binaries` by default.
        settings: server settings, for when this call is what starts the server.

    Returns:
        A running server; `server.url_of(database)` is what to connect to.

    Raises:
        BinariesNotFoundError: no PostgreSQL on this machine; the message names the remedies.
        EmbeddedError: the server did not start.

    Example:
        >>> async with open_embedded() as server:
        ...     print(server.version, server.url)
    """

    def start() -> PostgresServer:
        server = PostgresServer(folder or default_folder(), find_binaries(binaries), settings or {})
        server.start(trio.from_thread.check_cancelled)
        try:
            if database != "postgres":
                server.ensure_database(database)
        except BaseException:
            server.close()
            raise
        return server

    server = await trio.to_thread.run_sync(start)
    try:
        await trio.lowlevel.checkpoint_if_cancelled()
        yield server
    finally:
        server.close()  # closes a file: too quick for a thread, and nothing for a cancellation to hit
