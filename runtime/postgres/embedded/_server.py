"""One PostgreSQL server of our own: started or joined, shared with other processes, left to the reaper.

Everything here blocks and belongs into a worker thread; `open_embedded` is the door for Trio programs.
"""

import os
import subprocess
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final
from urllib.parse import quote

import attrs
import psycopg
from psycopg import sql

from ._account import server_account
from ._binaries import Binaries, find_binaries
from ._cluster import Cluster
from ._errors import EmbeddedError
from ._folders import Layout, default_folder
from ._locks import FileLock, wait_until
from ._postmaster import kill_postmaster, postmaster_pid, socket_folder, stop_postmaster
from ._reaper import start_reaper

_LONGEST_NAME: Final = 63
"""Bytes; PostgreSQL cuts off what is longer without a word."""

_LOCK_SECONDS: Final = 150
"""How long another process may take to start or stop the server before we give up."""


def _nothing() -> None:
    pass


def _absolute(folder: Path) -> Path:
    return folder.absolute()


@final
@attrs.define(eq=False)
class PostgresServer:
    """A real PostgreSQL on a Unix socket, without TCP, with fsync on.

    Several processes that open the same folder share one server. It is stopped about a second after the last
    of them closed it or died, however it died; its data stays.

    Args:
        folder: holds one data folder per major version; the user's data folder by default.
        binaries: the programs to use; found by `find_binaries` by default.
        settings: server settings such as `{"max_connections": "200"}`. They take effect when this object is
            what starts the server, not when it joins one that runs.
    """

    folder: Path = attrs.field(factory=default_folder, converter=_absolute)
    binaries: Binaries = attrs.field(factory=find_binaries)
    settings: Mapping[str, str] = attrs.field(factory=dict[str, str])
    _lease: FileLock | None = attrs.field(init=False, default=None)
    _socket: Path | None = attrs.field(init=False, default=None)

    @property
    def version(self) -> str:
        """The server's version, such as `"18.4"`."""
        return self.binaries.version

    @property
    def data(self) -> Path:
        """The folder of the cluster's data."""
        return self._layout.data

    @property
    def log(self) -> Path:
        """The server's log since it was last started."""
        return self._layout.log

    @property
    def pid(self) -> int | None:
        """The server's process id, or None if it is not running."""
        return postmaster_pid(self.data)

    @property
    def url(self) -> str:
        """A connection URL of the server's database `postgres`, as its superuser."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """A connection URL of a database on this server; it need not exist."""
        host = quote(os.fspath(self._socket or self._layout.socket), safe="")
        return f"postgresql://postgres@/{quote(database, safe='')}?host={host}&port=5432"

    def start(self, check: Callable[[], object] = _nothing) -> None:
        """Start the server, or join it if it runs; make its data folder first if there is none.

        After an error nothing is left running for our sake: the lease is given back, and the reaper
        does the rest.

        Args:
            check: called between steps and while waiting; what it raises ends the start.

        Raises:
            EmbeddedError: the server did not start; the message has the end of its log.
        """
        layout = self._layout
        layout.make_base()
        with _locked(layout, check) as start_lock:
            account = server_account(layout.server)
            layout.make_server_folders(account)
            newcomer = self._lease is None
            try:
                self._take_lease()
                # The reaper comes first: if we are killed in the middle of a start, it is there to tidy up.
                start_reaper(
                    lease=layout.lease,
                    start_lock=layout.start_lock,
                    reaper_lock=layout.reaper_lock,
                    data=layout.data,
                    log=layout.reaper_log,
                )
                Cluster(layout, account, self.binaries, self.settings).start_or_join(start_lock, check)
                self._socket = socket_folder(layout.data)
            except BaseException as error:
                if newcomer:
                    self.close()
                if isinstance(error, (OSError, subprocess.SubprocessError)):
                    message = f"The embedded PostgreSQL in {layout.base} did not start: {error}"
                    raise EmbeddedError(message) from error
                raise

    def ensure_database(self, name: str) -> None:
        """Create a database of this name unless it exists; the server must run.

        Raises:
            EmbeddedError: PostgreSQL cannot have a database of this name.
        """
        if not 0 < len(name.encode()) <= _LONGEST_NAME or "\0" in name:
            raise EmbeddedError(f"A database name has 1 to {_LONGEST_NAME} bytes and no NUL, unlike {name!r}")
        with _locked(self._layout, _nothing), psycopg.connect(self.url, autocommit=True) as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Shut the server down at once and cleanly, whoever uses it; `start` brings it back.

        Raises:
            EmbeddedError: it is still running after a minute.
        """
        with _locked(self._layout, _nothing):
            _end(self._layout, stop_postmaster)

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL); `start` brings it back and recovers.

        Raises:
            EmbeddedError: it is still running after a minute.
        """
        with _locked(self._layout, _nothing):
            _end(self._layout, kill_postmaster)

    def close(self) -> None:
        """Give the server back: it is stopped a second later unless others use it. Idempotent."""
        if self._lease is not None:
            self._lease.close()
            self._lease = None
        self._socket = None

    @property
    def _layout(self) -> Layout:
        return Layout(self.folder / str(self.binaries.major))

    def _take_lease(self) -> None:
        """Become one of the server's users, unless we are one already."""
        if self._lease is None:
            self._lease = FileLock(self._layout.lease)
            self._lease.share()


def stop_embedded(folder: Path | None = None) -> list[Path]:
    """Stop at once every embedded server below a folder, whoever uses it; the data stays.

    Args:
        folder: the user's data folder by default.

    Returns:
        The data folders whose server was stopped.

    Raises:
        EmbeddedError: one is still running after a minute.
    """
    layouts = [Layout(base) for base in sorted((folder or default_folder()).glob("[0-9]*"))]
    return [layout.data for layout in layouts if _stop_if_running(layout)]


def _stop_if_running(layout: Layout) -> bool:
    if postmaster_pid(layout.data) is None:
        return False
    with _locked(layout, _nothing):
        _end(layout, stop_postmaster)
    return True


def _end(layout: Layout, end: Callable[[Path], bool]) -> None:
    """Stop or kill the server; the start lock is held."""
    if not end(layout.data):
        raise EmbeddedError(f"The server in {layout.data} is still running; see {layout.log}")


@contextmanager
def _locked(layout: Layout, check: Callable[[], object]) -> Generator[FileLock]:
    """Be the only one who starts or stops the server of this folder."""
    try:
        lock = FileLock(layout.start_lock)
    except OSError as error:
        raise EmbeddedError(f"The embedded PostgreSQL cannot be locked: {error}") from error
    try:
        if not wait_until(lock.try_take, _LOCK_SECONDS, check):
            raise EmbeddedError(f"Another process has held {lock.path} for {_LOCK_SECONDS} s")
        yield lock
    finally:
        lock.close()
