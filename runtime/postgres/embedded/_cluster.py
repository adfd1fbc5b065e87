"""The data folder of one server and what is done to it: made, started, stopped.

Whoever calls these holds the start lock.
"""

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, final

import attrs

from ._account import Account
from ._binaries import Binaries
from ._errors import EmbeddedError
from ._folders import SOCKET_NAME, Layout
from ._locks import FileLock, wait_until
from ._postmaster import postmaster_pid, postmaster_status, remove_stale_pid_file
from ._programs import readable_binaries

START_SECONDS: Final = 60
"""How long a server may take to become ready."""

_STAGING: Final = "data.tmp"

_INITDB_OPTIONS: Final = ("-U", "postgres", "-A", "trust", "--no-locale", "-E", "UTF8")


@final
@attrs.frozen
class Cluster:
    """Where a server lives, who it runs as, and with what."""

    layout: Layout
    account: Account
    binaries: Binaries
    settings: Mapping[str, str]

    def start_or_join(self, start_lock: FileLock, check: Callable[[], object]) -> None:
        """Have a server that is ready: the one that runs, or a new one, on a new data folder if need be."""
        if self._join(check):
            return
        programs = readable_binaries(self.binaries, self.account, self.layout)
        remove_stale_pid_file(self.layout.data, check)
        for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
            (self.layout.socket / name).unlink(missing_ok=True)  # the folder is this server's alone
        if not self.layout.data.exists():
            self._initialise(programs, start_lock)
        check()
        self._launch(programs, start_lock)

    def _join(self, check: Callable[[], object]) -> bool:
        """Whether a server of this folder runs and is ready; waits for one that is starting or stopping."""
        data = self.layout.data

        def settled() -> bool:
            return postmaster_pid(data) is None or postmaster_status(data) == "ready"

        if not wait_until(settled, START_SECONDS, check):
            status = postmaster_status(data) or "starting"
            raise EmbeddedError(
                f"The server in {data} has been {status} for {START_SECONDS} s; see {self.layout.log}"
            )
        return postmaster_pid(data) is not None

    def _initialise(self, programs: Binaries, start_lock: FileLock) -> None:
        """Make the cluster beside its place, then put it there: a half-made one is never taken for a whole.

        The start lock is lent to `initdb`, so if we are killed nobody else starts before it has ended.
        """
        here = self.layout.server
        self.account.run(["/bin/rm", "-rf", _STAGING], cwd=here)
        command: list[str | Path] = [programs.folder / "initdb", "-D", _STAGING, *_INITDB_OPTIONS]
        done = self.account.run(command, cwd=here, stdin=start_lock.descriptor)
        if done.returncode != 0:
            raise EmbeddedError(f"initdb failed in {here}:\n{done.stdout.strip()}")
        (here / _STAGING).rename(self.layout.data)

    def _launch(self, programs: Binaries, start_lock: FileLock) -> None:
        """Start the server and wait until it is ready.

        The paths are relative: pg_ctl writes them into a shell command without quoting what is in them.
        The start lock is lent to a shell that waits for pg_ctl, so if we are killed nobody starts or stops
        a server that is on its way. The server itself must not get it: it would have it for life.
        """
        log = self.layout.log
        log.unlink(missing_ok=True)
        command: list[str | Path] = ["/bin/sh", "-c", '"$@" < /dev/null; exit $?', "sh"]
        command += [programs.folder / "pg_ctl", "start", "-w", "-s", "-t", str(START_SECONDS)]
        command += ["-D", self.layout.data.name, "-l", log.name, "-o", self._options()]
        done = self.account.run(command, cwd=self.layout.server, stdin=start_lock.descriptor)
        if done.returncode != 0:
            raise EmbeddedError(
                f"The embedded PostgreSQL {programs.version} in {self.layout.data} did not start: "
                f"{done.stdout.strip()}\n{_tail(log)}"
            )

    def _options(self) -> str:
        """The server's options, quoted for the shell that pg_ctl hands them to."""
        socket = '"' + os.fspath(self.layout.socket).replace('"', '""') + '"'
        settings = {
            **self.settings,
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": socket,
            "unix_socket_permissions": "0700",
            "cluster_name": "rolebook",
            "logging_collector": "off",
        }
        return shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))


def _tail(log: Path, lines: int = 20) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
