"""Which folders a server uses.

<folder>/<major>/lease, start.lock, reaper.lock, reaper.log    ours
<folder>/<major>/programs/                                     copies, only if the originals are unreadable
<folder>/<major>/server/                                       0700, the server's own: data, log, socket
"""

import hashlib
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

import attrs

from ._account import Account
from ._errors import EmbeddedError, refuse_windows

SOCKET_NAME: Final = ".s.PGSQL.5432"
"""What PostgreSQL calls its socket; it keeps a lock file of that name beside it."""

_SOCKET_LIMIT: Final = 103
"""The longest path of a Unix socket in bytes that works everywhere (Linux takes 107, macOS 103)."""


def default_folder() -> Path:
    """Where the embedded server keeps its data unless told otherwise.

    `ROLEBOOK_DATA` if it is set; `/var/lib/rolebook` for root; else the user's data folder.
    """
    refuse_windows()
    if setting := os.environ.get("ROLEBOOK_DATA"):
        return Path(setting).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/rolebook")
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/rolebook"
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(data_home).absolute() / "rolebook"


@final
@attrs.frozen
class Layout:
    """The paths of one server: one base folder, one major version."""

    base: Path

    @property
    def lease(self) -> Path:
        """Locked shared by every user of the server."""
        return self.base / "lease"

    @property
    def start_lock(self) -> Path:
        """Locked exclusively by whoever starts or stops the server."""
        return self.base / "start.lock"

    @property
    def reaper_lock(self) -> Path:
        """Locked exclusively by the reaper."""
        return self.base / "reaper.lock"

    @property
    def reaper_log(self) -> Path:
        """What went wrong with a reaper."""
        return self.base / "reaper.log"

    @property
    def programs(self) -> Path:
        """Copies of programs that the server's account could not read."""
        return self.base / "programs"

    @property
    def server(self) -> Path:
        """The server's own folder, mode 0700."""
        return self.base / "server"

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.server / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.server / "server.log"

    @property
    def socket(self) -> Path:
        """The folder of the server's socket: its own, or one below /tmp if no client could name that.

        A path may be too long for a socket, and a comma separates hosts wherever one is named.
        """
        path = os.fsencode(self.server / SOCKET_NAME)
        if len(path) <= _SOCKET_LIMIT and b"," not in path:
            return self.server
        digest = hashlib.sha256(os.fsencode(self.server.resolve())).hexdigest()[:16]
        return Path("/tmp") / f"rolebook-{digest}"  # noqa: S108 -- 0700 and its owner is checked

    def make_base(self) -> None:
        """Make the folder of the locks, with its parents; those that exist keep their mode.

        Raises:
            EmbeddedError: it cannot be made.
        """
        mode = 0o755 if os.geteuid() == 0 else 0o700  # root's server runs as somebody who must pass through
        with _named(self.base):
            for folder in reversed([self.base, *self.base.parents]):
                if not folder.is_dir():
                    folder.mkdir(exist_ok=True)
                    folder.chmod(mode)

    def make_server_folders(self, account: Account) -> None:
        """Make what belongs to the server; the start lock is held.

        Raises:
            EmbeddedError: a folder cannot be made, belongs to somebody else, or cannot be reached.
        """
        with _named(self.base):
            for folder in {self.server, self.socket}:
                folder.mkdir(mode=0o700, exist_ok=True)
                account.own(folder)
        if not account.can_use(self.server):
            raise EmbeddedError(
                f"PostgreSQL may not run as root and runs as user id {account.uid}, which cannot enter "
                f"{self.base}. Choose a folder that all may enter with ROLEBOOK_DATA"
            )


@contextmanager
def _named(base: Path) -> Generator[None]:
    """Say what cannot be used, and the remedy."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"The embedded PostgreSQL cannot use the folder {base}: {error}. "
            "Choose another with ROLEBOOK_DATA, or give a database with --database-url"
        ) from error
