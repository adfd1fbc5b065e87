"""What can go wrong with a server of our own."""

from typing import final

from understudy.actors import UnderstudyError


class EmbeddedError(UnderstudyError):
    """The embedded PostgreSQL could not be started, reached or stopped; the message says why."""


@final
class BinariesNotFoundError(EmbeddedError):
    """No usable PostgreSQL server programs on this machine; the message names the remedies."""
