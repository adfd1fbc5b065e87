"""What can go wrong with a server of our own."""

import sys
from typing import final

from rolebook.actors import RolebookError


class EmbeddedError(RolebookError):
    """The embedded PostgreSQL could not be started, reached or stopped; the message says why."""


@final
class BinariesNotFoundError(EmbeddedError):
    """No usable PostgreSQL server programs on this machine; the message names the remedies."""


def refuse_windows() -> None:
    """Say what to do where file locks and users are not what this server is built on.

    Raises:
        EmbeddedError: this is Windows.
    """
    if sys.platform == "win32":
        raise EmbeddedError(
            "The embedded PostgreSQL runs on Linux and macOS. "
            "Give a database with --database-url or DATABASE_URL"
        )
