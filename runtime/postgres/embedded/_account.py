"""Who the server runs as: us, or somebody lesser if we are root.

PostgreSQL refuses to run as root. Nothing on the host is changed for it: no account is added, no mode of a
folder that was there before is touched.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

import attrs

from ._errors import EmbeddedError, refuse_windows

_CANDIDATES: Final = ("postgres", "nobody")


@final
@attrs.frozen
class Account:
    """The account of the server's processes; `switch` says whether it is another one than ours."""

    uid: int
    gid: int
    switch: bool

    def own(self, folder: Path) -> None:
        """Make sure that a folder is the account's: one that root just made is given to it.

        Raises:
            PermissionError: it belongs to somebody else.
        """
        owner = folder.lstat().st_uid
        if self.switch and owner == 0:
            os.chown(folder, self.uid, self.gid, follow_symlinks=False)
        elif owner != self.uid:
            raise PermissionError(f"{folder} belongs to user id {owner}, not {self.uid}")

    def run(
        self, command: Sequence[str | Path], *, cwd: Path, stdin: int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this account and return what it said, whatever its exit code.

        Its standard input may be an open file lock, which it then holds together with us.

        It gets a session of its own, so a Ctrl-C at the terminal does not hit a server that is just starting,
        and none of the PG… variables, which would redirect it.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment |= {"LC_ALL": "C", "TZ": "UTC"}
        return subprocess.run(  # noqa: S603 -- programs that the finder found, no shell
            command,
            cwd=cwd,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            start_new_session=True,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def can_use(self, path: Path) -> bool:
        """Whether this account reaches `path` and may read it and enter it or run it."""
        if not self.switch:
            return os.access(path, os.R_OK | os.X_OK)
        program: list[str | Path] = ["/bin/sh", "-c", 'test -r "$1" && test -x "$1"', "sh", path]
        return self.run(program, cwd=Path("/")).returncode == 0


def server_account(folder: Path) -> Account:
    """The account a server in `folder` runs as.

    Ours, unless we are root: then the owner of `folder` if it exists, else `postgres`, else `nobody`.

    Raises:
        EmbeddedError: we are root and there is nobody else.
    """
    refuse_windows()
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    if folder.exists() and (status := folder.stat()).st_uid != 0:
        return Account(status.st_uid, status.st_gid, switch=True)
    import pwd  # noqa: PLC0415 -- not on Windows, where this module must still load

    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and there is neither a user 'postgres' nor 'nobody'. "
        "Run as another user, or give a database with --database-url"
    )
