"""Whether the server has room for the connections of this process."""

from __future__ import annotations

from typing import Final, final

from attrs import frozen

from rolebook.actors import RolebookError

from ._connection import Connection

READERS = 2
"""Connections for the runtime's own short reads."""

FIXED = 3 + READERS
"""Listener, fetcher, writer, and those that read."""

BESIDE_A_POOLER = 2
"""Listener and fetcher: how many connections a pooler has to the server is its own affair."""


# Of other roles' sessions an ordinary role sees that they are there, and not what they are.
_LIMITS: Final = """
with sessions as (
    select datname, usename from pg_catalog.pg_stat_activity
    where pid <> pg_backend_pid() and coalesce(backend_type, 'client backend') = 'client backend'
      and usesysid is not null and datid is not null
)
select current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int
       + coalesce(current_setting('reserved_connections', true)::int, 0),
       (select count(*) from sessions),
       (select datconnlimit from pg_catalog.pg_database where datname = current_database()),
       (select count(*) from sessions where datname = current_database()),
       (select case when rolsuper then -1 else rolconnlimit end
        from pg_catalog.pg_roles where rolname = session_user),
       (select count(*) from sessions where usename = session_user)
"""


@final
class BudgetExceeded(RolebookError):
    """The server has fewer free connections than this process needs."""


@frozen
class _Limit:
    """One bound on connections.

    Attributes:
        name: What sets it.
        most: How many it lets have.
        used: How many there are now, of those that it counts.
    """

    name: str
    most: int
    used: int

    @property
    def free(self) -> int:
        return self.most - self.used

    def __str__(self) -> str:
        return f"{self.name} {self.most} - {self.used} in use"


async def check_budget(connection: Connection, pool_size: int, *, pooled: bool = False) -> None:
    """Refuse to start where the server, the database or the role lacks room for this process's connections.

    Args:
        connection: To the server; it does not count, as it is closed when the others are opened.
        pool_size: Of the pool.
        pooled: Whether all that need not be direct go through a pooler.

    Raises:
        BudgetExceeded: With the arithmetic.
    """
    answer = await connection.execute(_LIMITS)
    row = await answer.fetchone()
    assert row is not None
    most, reserved, used, of_database, in_database, of_role, by_role = row
    limits = [_Limit(f"max_connections {most} - {reserved} reserved, so", most - reserved, used)]
    if of_database >= 0:
        limits.append(_Limit("the connection limit of the database", of_database, in_database))
    if of_role >= 0:
        limits.append(_Limit("the connection limit of the role", of_role, by_role))
    tightest = min(limits, key=lambda limit: limit.free)
    needed = BESIDE_A_POOLER if pooled else FIXED + pool_size
    if needed <= tightest.free:
        return
    parts = f"listener, fetcher, writer, {READERS} to read and a pool of {pool_size}"
    remedy = "Lower Settings(pool_size=…), raise that limit, or put a pooler in between."
    if pooled:
        parts, remedy = "listener and fetcher", "Raise that limit, or lower the size of the pooler's pool."
    raise BudgetExceeded(
        f"this process needs {needed} connections ({parts}),"
        f" but the server has {max(0, tightest.free)} free: {tightest}. {remedy}"
    )
