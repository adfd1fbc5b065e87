"""Which folders a server uses.

<folder>/<major>/lease, start.lock, reaper.lock, reaper.log    ours
<folder>/<major>/programs/                                     copies, only if the originals are unreadable
<folder>/<major>/server/                                       0700, the server's own: data, log, socket
"""

import hashlib
import os
import sys
import tempfile
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

    `UNDERSTUDY_DATA` if it is set; `/var/lib/understudy` for root; else the user's data folder.
    """
    refuse_windows()
    if setting := os.environ.get("UNDERSTUDY_DATA"):
        return Path(setting).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/understudy")
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/understudy"
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(data_home).absolute() / "understudy"


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
        """The folder of the server's socket: its own, or one below /tmp if that path would be too long."""
        if len(os.fsencode(self.server / SOCKET_NAME)) <= _SOCKET_LIMIT:
            return self.server
        digest = hashlib.sha256(os.fsencode(self.server.resolve())).hexdigest()[:16]
        return Path("/tmp") / f"understudy-{digest}"  # noqa: S108 -- 0700 and its owner is checked

    def prepare(self, account: Account) -> None:
        """Make the folders; those that exist keep their mode.

        Raises:
            EmbeddedError: a folder cannot be made, or belongs to somebody else.
        """
        try:
            make_folder(self.base, account, mode=account.shared_mode)
            make_folder(self.server, account, mode=0o700, owned=True)
            if self.socket != self.server:
                make_folder(self.socket, account, mode=0o700, owned=True)
        except OSError as error:
            raise EmbeddedError(
                f"The embedded PostgreSQL cannot use the folder {self.base}: {error}. "
                "Choose another with UNDERSTUDY_DATA, or give a database with --database-url"
            ) from error
        if not account.can_use(self.server):
            raise EmbeddedError(
                f"PostgreSQL may not run as root and runs as user id {account.uid}, which cannot enter "
                f"{self.base}. Choose a folder that all may enter with UNDERSTUDY_DATA"
            )


def make_folder(folder: Path, account: Account, *, mode: int, owned: bool = False) -> None:
    """Make `folder` with its parents; with `owned`, give it to the account and insist on that."""
    for parent in reversed([folder, *folder.parents]):
        if not parent.is_dir():
            parent.mkdir(exist_ok=True)
            parent.chmod(mode if parent == folder else account.shared_mode)
            if owned and parent == folder:
                account.own(parent)
    if owned and folder.lstat().st_uid != account.uid:
        raise PermissionError(f"{folder} belongs to user id {folder.lstat().st_uid}, not {account.uid}")


def throw_away_folder() -> Path:
    """A new folder below /tmp that every account can enter; its maker removes it."""
    folder = Path(tempfile.mkdtemp(prefix="understudy-", dir="/tmp"))  # short, for the socket
    folder.chmod(0o755)
    return folder
