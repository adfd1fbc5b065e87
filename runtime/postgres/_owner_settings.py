"""Settings of the database or the role that hurt, and that a session cannot change for itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

from ._connection import Connection

_log = logging.getLogger("rolebook")

_SHORT: Final = 60_000
"""Milliseconds that a transaction of ours may take: a migration, or a commit that waits for a standby."""

_ASKED: Final = """
select current_database(), current_setting('session_replication_role'),
    (select setting::bigint from pg_catalog.pg_settings where name = 'transaction_timeout')
"""


async def name_settings(connection: Connection[Any]) -> None:
    """Say in the log which settings of this database or role do harm, and what to do about each."""
    row = await (await connection.execute(_ASKED, prepare=False)).fetchone()
    assert row is not None
    for said in harmful(*row):
        _log.warning("%s", said)


def harmful(database: str, replication_role: str, transaction_timeout: int | None) -> Iterator[str]:
    """Say what is harmful.

    Args:
        database: Its name.
        replication_role: `session_replication_role`: only a superuser may change it.
        transaction_timeout: In milliseconds; None for a server that does not have it: to name it in the start
            of a session would keep that from beginning on such a server.
    """
    if replication_role != "origin":
        yield (
            f"session_replication_role is {replication_role} in database {database!r}: the trigger that"
            " keeps the journal from being changed does not fire; reset it with:"
            f' alter database "{database}" reset session_replication_role (or alter role)'
        )
    if transaction_timeout and transaction_timeout < _SHORT:
        yield (
            f"transaction_timeout is {transaction_timeout / 1000:g} s in database {database!r}: migrations,"
            " and commits that wait for a standby, are cut off; lift it for the runtime's role with:"
            " alter role NAME set transaction_timeout = 0"
        )
