"""The ways to one database: of the sessions that must be the runtime's alone, and of all others."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, final

from attrs import frozen

from ._connection import Connection
from ._probing import Between, Route, check_same_database, find_route, find_session_route
from ._session import Accept, connect_session

_log = logging.getLogger("rolebook")


@final
@frozen
class Routes:
    """What lies on the ways.

    Attributes:
        direct: Of the sessions that hold a lock or listen.
        shared: Of the writer, of readers and of what is lent.
    """

    direct: Route
    shared: Route

    @property
    def pooled(self) -> bool:
        """Whether the others have no session of their own."""
        return self.shared.between is Between.TRANSACTIONS

    @property
    def prepares_at_once(self) -> int | None:
        """The `prepare_threshold` of a session that repeats few statements."""
        return 0 if self.shared.prepares else None

    @property
    def prepares_later(self) -> int | None:
        """The `prepare_threshold` of a session of whose statements nothing is known."""
        return 5 if self.shared.prepares else None


async def find_routes(setup: Connection[Any], url: str, direct: str, process: str, accept: Accept) -> Routes:
    """Find out what lies on the ways, and refuse what the runtime cannot work through.

    With one URL it takes six round trips and, for a moment, one connection more. With two it takes eight
    round trips and two connections beyond that, or twelve round trips if a pooler shares its sessions.

    Args:
        setup: A session of `direct` with nothing set in it.
        url: The database, for most sessions.
        direct: The database, for the sessions that hold locks and listen.
        process: This process's name.
        accept: Refuses servers that are not to be used.

    Raises:
        UnfitSession: `direct` does not lead to sessions of our own, or the two lead to different databases.
        DatabaseError: `url` cannot be reached.
    """
    plain = partial(connect_session, role="probe", process=process, between=Between.UNKNOWN, accept=accept)
    found = await find_session_route(setup, partial(plain, direct))
    if url == direct:
        return Routes(found, found)
    async with await plain(url) as connection:
        await check_same_database(setup, connection)
        shared = await find_route(connection, partial(plain, url))
    if shared.between is Between.TRANSACTIONS:
        able = "it keeps" if shared.prepares else "without"
        _log.info("through a pooler in transaction mode (%s; %s prepared statements)", shared.reason, able)
    return Routes(found, shared)
