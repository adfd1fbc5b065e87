"""Whether the server has room for the connections of this process."""

from __future__ import annotations

from typing import final

from rolebook.actors import RolebookError

from ._connection import Connection

READERS = 2
"""Connections for the runtime's own short reads."""

FIXED = 3 + READERS
"""Listener, fetcher, writer, and those that read."""

BESIDE_A_POOLER = 2
"""Listener and fetcher: how many connections a pooler has to the server is its own affair."""


@final
class BudgetExceeded(RolebookError):
    """The server has fewer free connections than this process needs."""


async def check_budget(connection: Connection, pool_size: int, *, pooled: bool = False) -> None:
    """Refuse to start into a server that cannot hold this process's connections.

    Args:
        connection: To the server.
        pool_size: Of the pool.
        pooled: Whether all that need not be direct go through a pooler.

    Raises:
        BudgetExceeded: With the arithmetic.
    """
    answer = await connection.execute(
        "select current_setting('max_connections')::int,"
        " current_setting('superuser_reserved_connections')::int"
        " + coalesce(current_setting('reserved_connections', true)::int, 0),"
        # Of other roles' sessions an ordinary role sees that they are there, and not what they are.
        " (select count(*) from pg_stat_activity where pid <> pg_backend_pid()"
        "  and coalesce(backend_type, 'client backend') = 'client backend'"
        "  and usesysid is not null and datid is not null)"
    )
    row = await answer.fetchone()
    assert row is not None
    most, reserved, used = row
    free, needed = most - reserved - used, BESIDE_A_POOLER if pooled else FIXED + pool_size
    if needed <= free:
        return
    parts = f"listener, fetcher, writer, {READERS} to read and a pool of {pool_size}"
    remedy = "Lower Settings(pool_size=…), raise max_connections, or put a pooler in between."
    if pooled:
        parts, remedy = (
            "listener and fetcher",
            "Raise max_connections, or lower the size of the pooler's pool.",
        )
    raise BudgetExceeded(
        f"this process needs {needed} connections ({parts}),"
        f" but the server has {free} free: max_connections {most} - {reserved} reserved - {used} in use."
        f" {remedy}"
    )
