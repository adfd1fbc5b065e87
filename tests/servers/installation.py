"""PostgreSQL's own programs, run as somebody who may run a server, and a folder that holds its servers."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from attrs import frozen

from rolebook.runtime.postgres.embedded import Binaries, find_binaries
from rolebook.runtime.postgres.embedded._account import Account, server_account
from rolebook.runtime.postgres.embedded._folders import Layout
from rolebook.runtime.postgres.embedded._programs import readable_binaries

NEEDED: Final = ("initdb", "postgres", "pg_ctl", "pg_rewind")
"""Standbys are made by copying a stopped server, so that pg_basebackup is not among them."""


class ProgramsMissingError(Exception):
    """The installation that was found is not a whole server's; the message says what it lacks."""


class ProgramFailedError(Exception):
    """One of the programs failed; the message has what it said."""


@frozen
class Installation:
    """The programs, and the account that runs them in a folder.

    Attributes:
        folder: Holds everything of one bed.
        account: Runs the servers: PostgreSQL refuses to be run by root.
        binaries: Which programs; such as that account can read.
    """

    folder: Path
    account: Account
    binaries: Binaries

    @classmethod
    def prepare(cls) -> "Installation":
        """Find the programs and make a folder for servers.

        Raises:
            BinariesNotFoundError: There is no server on this machine.
            ProgramsMissingError: There is one, but not all of it.
        """
        binaries = find_binaries(os.environ.get("ROLEBOOK_TEST_PG_BIN"))
        missing = [name for name in NEEDED if not os.access(binaries.folder / name, os.X_OK)]
        if missing:
            raise ProgramsMissingError(
                f"{binaries.source} lacks {', '.join(missing)} in {binaries.folder}: "
                "set ROLEBOOK_TEST_PG_BIN to the programs of a whole PostgreSQL server"
            )
        folder = Path(tempfile.mkdtemp(prefix="rolebook-servers-", dir="/tmp"))
        folder.chmod(0o755)
        account = server_account(folder)
        return cls(folder, account, readable_binaries(binaries, account, Layout(folder)))

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run a program to its end and return what it said.

        Raises:
            ProgramFailedError: It failed.
        """
        done = self.account.run([self.binaries.folder / program, *arguments], cwd=self.folder)
        if done.returncode != 0:
            raise ProgramFailedError(f"{program} {' '.join(map(str, arguments))}: {done.stdout.strip()}")
        return done.stdout

    def room(self, name: str) -> Path:
        """Make a folder that belongs to the account."""
        room = self.folder / name
        room.mkdir(mode=0o700)
        self.account.own(room)
        return room

    def write(self, path: Path, text: str) -> None:
        """Write a file that belongs to the account."""
        path.write_text(text)
        self.account.own(path)

    def remove(self) -> None:
        """Remove the folder and all that is in it; no server may run in it any more."""
        shutil.rmtree(self.folder)
