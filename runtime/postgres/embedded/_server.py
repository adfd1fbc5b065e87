"""One PostgreSQL server of our own: started or joined, shared with other processes, left to the reaper.

Everything here blocks and belongs into a worker thread; `open_embedded` is the door for Trio programs.
"""

import os
import shlex
import subprocess
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final
from urllib.parse import quote

import attrs
import psycopg
from psycopg import sql

from ._account import Account, server_account
from ._binaries import Binaries, find_binaries
from ._errors import EmbeddedError
from ._folders import Layout, default_folder
from ._locks import FileLock, wait_until
from ._postmaster import (
    kill_postmaster,
    postmaster_pid,
    postmaster_status,
    remove_stale_pid_file,
    socket_folder,
    stop_postmaster,
)
from ._programs import readable_binaries
from ._reaper import start_reaper

START_SECONDS: Final = 60
"""How long a server may take to become ready, and to stop."""

_INITDB_OPTIONS: Final = ("-U", "postgres", "-A", "trust", "--no-locale", "-E", "UTF8")

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
    _account: Account = attrs.field(init=False)
    _lease: FileLock | None = attrs.field(init=False, default=None)
    _socket: Path | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._account = server_account(self._layout.server)

    @property
    def _layout(self) -> Layout:
        return Layout(self.folder / str(self.binaries.major))

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

        On an error nothing is left running for our sake: the lease is given back.

        Args:
            check: called between steps and while waiting; what it raises ends the start.

        Raises:
            EmbeddedError: the server did not start; the message has the end of its log.
        """
        layout = self._layout
        layout.prepare(self._account)
        with self._exclusively(check) as start_lock:
            held = self._lease is not None
            try:
                self._take_lease()
                start_reaper(
                    layout.lease, layout.start_lock, layout.reaper_lock, layout.data, self._reaper_log
                )
                self._start(start_lock, check)
            except (OSError, subprocess.SubprocessError) as error:
                raise EmbeddedError(
                    f"The embedded PostgreSQL in {layout.base} did not start: {error}"
                ) from error
            finally:
                if self._socket is None and not held:
                    self.close()

    def ensure_database(self, name: str) -> None:
        """Create a database of this name unless it exists; the server must run."""
        with self._exclusively(_nothing), psycopg.connect(self.url, autocommit=True) as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Shut the server down at once and cleanly, whoever uses it; `start` brings it back.

        Raises:
            EmbeddedError: it is still running after a minute.
        """
        with self._exclusively(_nothing):
            self._end(stop_postmaster)

    def kill(self) -> None:
        """End the server as a power cut would (SIGKILL); `start` brings it back and recovers.

        Raises:
            EmbeddedError: it is still running after a minute.
        """
        with self._exclusively(_nothing):
            self._end(kill_postmaster)

    def close(self) -> None:
        """Give the server back: it is stopped a second later unless others use it. Idempotent."""
        if self._lease is not None:
            self._lease.close()
            self._lease = None
        self._socket = None

    @property
    def _reaper_log(self) -> Path:
        return self._layout.base / "reaper.log"

    @contextmanager
    def _exclusively(self, check: Callable[[], object]) -> Generator[FileLock]:
        """Be the only one who starts or stops this server."""
        try:
            lock = FileLock(self._layout.start_lock)
        except OSError as error:
            raise EmbeddedError(f"The embedded PostgreSQL cannot be locked: {error}") from error
        try:
            if not wait_until(lock.try_take, _LOCK_SECONDS, check):
                raise EmbeddedError(f"Another process has held {lock.path} for {_LOCK_SECONDS} s")
            yield lock
        finally:
            lock.close()

    def _take_lease(self) -> None:
        if self._lease is None:
            lease = FileLock(self._layout.lease)
            lease.share()
            self._lease = lease

    def _start(self, start_lock: FileLock, check: Callable[[], object]) -> None:
        """Start or join; the start lock is held."""
        if not self._join(check):
            programs = readable_binaries(self.binaries, self._account, self._layout)
            remove_stale_pid_file(self.data, check)
            if not self.data.exists():
                self._initialise(programs, start_lock)
            check()
            self._launch(programs)
        self._socket = socket_folder(self.data)

    def _join(self, check: Callable[[], object]) -> bool:
        """Whether a server of this folder runs and is ready; waits for one that is starting or stopping."""

        def settled() -> bool:
            return postmaster_pid(self.data) is None or postmaster_status(self.data) == "ready"

        if not wait_until(settled, START_SECONDS, check):
            status = postmaster_status(self.data) or "starting"
            raise EmbeddedError(
                f"The server in {self.data} has been {status} for {START_SECONDS} s; see {self.log}"
            )
        return postmaster_pid(self.data) is not None

    def _initialise(self, programs: Binaries, start_lock: FileLock) -> None:
        """Make the cluster beside its place, then put it there: a half-made one is never taken for a whole.

        The start lock is lent to `initdb`, so if we are killed nobody else starts before it has ended.
        """
        staging = self._layout.server / "data.tmp"
        self._account.run(["/bin/rm", "-rf", staging], cwd=self._layout.server)
        command: list[str | Path] = [programs.folder / "initdb", "-D", staging, *_INITDB_OPTIONS]
        done = self._account.run(command, cwd=self._layout.server, pass_fds=[start_lock.descriptor])
        if done.returncode != 0:
            raise EmbeddedError(f"initdb failed in {self._layout.server}:\n{done.stdout.strip()}")
        staging.rename(self.data)

    def _launch(self, programs: Binaries) -> None:
        self.log.unlink(missing_ok=True)
        command: list[str | Path] = [
            programs.folder / "pg_ctl",
            "start",
            "-w",
            "-t",
            str(START_SECONDS),
            "-s",
        ]
        command += ["-D", self.data, "-l", self.log, "-o", self._options()]
        done = self._account.run(command, cwd=self._layout.server)
        if done.returncode != 0:
            raise EmbeddedError(
                f"The embedded PostgreSQL {self.version} in {self.data} did not start: "
                f"{done.stdout.strip()}\n{_tail(self.log)}"
            )

    def _options(self) -> str:
        """The server's options, quoted for the shell that pg_ctl hands them to."""
        socket = '"' + os.fspath(self._layout.socket).replace('"', '""') + '"'
        settings = {
            **self.settings,
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": socket,
            "unix_socket_permissions": "0700",
            "cluster_name": "understudy",
            "logging_collector": "off",
        }
        return shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))

    def _end(self, end: Callable[[Path], bool]) -> None:
        if not end(self.data):
            raise EmbeddedError(f"The server in {self.data} is still running; see {self.log}")


def stop_embedded(folder: Path | None = None) -> list[Path]:
    """Stop at once every embedded server below a folder, whoever uses it; the data stays.

    Args:
        folder: the user's data folder by default.

    Returns:
        The data folders whose server was stopped.

    Raises:
        EmbeddedError: one is still running after a minute.
    """
    stopped: list[Path] = []
    for base in sorted((folder or default_folder()).glob("[0-9]*")):
        data = Layout(base).data
        if postmaster_pid(data) is not None:
            if not stop_postmaster(data):
                raise EmbeddedError(f"The server in {data} is still running; see {Layout(base).log}")
            stopped.append(data)
    return stopped


def _tail(log: Path, lines: int = 20) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
