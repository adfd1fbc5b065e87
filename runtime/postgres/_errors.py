"""What can go wrong between this program and its database, by remedy."""

from typing import final

import attrs

from rolebook.actors import RolebookError


@final
@attrs.frozen
class DatabaseAddress:
    """Which database was meant; never holds a password."""

    host: str
    port: str
    user: str
    database: str

    def __str__(self) -> str:
        return f"database {self.database!r} on {self.host}, port {self.port}, as user {self.user!r}"


class DatabaseError(RolebookError):
    """The database cannot be used; see the subclasses for whose turn it is.

    Attributes:
        address: which database was meant, or None if the URL does not say.
        reason: what libpq or the server said.
        remedy: what to do about it.
    """

    def __init__(self, address: DatabaseAddress | None, reason: str, remedy: str) -> None:
        super().__init__(address, reason, remedy)
        self.address = address
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        # The reason first: what shows the first line alone shows it.
        which = f"\n  which: {self.address}" if self.address else ""
        return f"{self.summary}: {self.reason}{which}\n  remedy: {self.remedy}"

    @property
    def line(self) -> str:
        """All of it in one line, for the log."""
        which = f" ({self.address})" if self.address else ""
        return f"{self.summary}: {self.reason}{which}; remedy: {self.remedy}"

    summary = "the database cannot be used"


@final
class DatabaseUnreachable(DatabaseError):
    """No server answered, or it is starting or stopping: trying again later may help."""

    summary = "cannot reach the database"


@final
class DatabaseRefused(DatabaseError):
    """The server answered and said no (password, missing database, too many connections): ask its owner."""

    summary = "the server refused the connection"


@final
class UnfitSession(DatabaseError):
    """The server answered, but a session on it is not this program's alone: a pooler in transaction mode.

    Or its locks hold nobody off, or a second session is not to be had.
    """

    summary = "the database's sessions are not fit for this"


@final
class InvalidDatabaseUrl(DatabaseError):
    """The connection string is wrong: fix the setting."""

    summary = "the database URL is wrong"


@final
@attrs.frozen
class Holder:
    """Who has a connection of a pool: a task, and for how many seconds."""

    task: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.task} for {self.seconds:.1f} s"


@final
class PoolExhausted(RolebookError):
    """All connections of a pool were in use for as long as the caller was ready to wait.

    Attributes:
        size: connections of the pool.
        waited: seconds.
        holders: who had the connections, longest first.
    """

    def __init__(self, size: int, waited: float, holders: tuple[Holder, ...]) -> None:
        super().__init__(size, waited, holders)
        self.size = size
        self.waited = waited
        self.holders = holders

    def __str__(self) -> str:
        held = "; ".join(str(holder) for holder in self.holders) or "nobody: all are just being opened"
        return (
            f"no connection was free within {self.waited:g} s: all {self.size} of the pool are in use\n"
            f"  held by: {held}\n"
            "  remedy: hold a connection only while it is used, let fewer tasks use one, or enlarge the pool"
        )


@final
class PoolClosed(RolebookError):
    """The pool's block has ended: use the pool inside `async with open_pool(...)` only."""
