"""Which server a store works with: a server that was left behind is refused before it is used."""

from __future__ import annotations

import logging
from typing import Final

import psycopg
from attrs import define, field, frozen

from ._addresses import Address, address_of, put_first
from ._connection import Connection

_log = logging.getLogger("rolebook")

_WHERE: Final = """
select system_identifier::text, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer
from pg_catalog.pg_control_system()
"""

REMEMBERED: Final = 8
"""Addresses of servers, and of poolers before them."""


class LeftBehind(psycopg.OperationalError):
    """This server is an earlier stage of one that this process has worked with, or another one altogether."""


@frozen
class _Place:
    cluster: str
    timeline: int


@define(eq=False)
class Whereabouts:
    """Compares each server that is connected to with those before.

    A standby that takes over begins a new timeline. So a server on an older one than was seen before is an
    old primary that came back, and what it is told is lost. That it is on the same timeline proves nothing:
    what proves where a commit runs is the number of the session that it stands on.
    """

    _newest: _Place | None = None
    _taken: list[Address] = field(factory=list[Address])
    """Where the servers were that were taken, the latest first."""

    async def check(self, connection: Connection) -> None:
        """Take note of a server.

        Raises:
            LeftBehind: It is not to be used.
        """
        here = await _place_of(connection)
        if here is not None:
            self._compare(here)
        address = address_of(connection)
        self._taken = [address, *(each for each in self._taken if each != address)][:REMEMBERED]

    def first(self, url: str) -> str:
        """Return a URL with the server that was taken last before the others, if only one takes writes.

        One that does not answer costs `connect_timeout`: once, and not for every connection.
        """
        return put_first(url, self._taken) if self._taken else url

    def _compare(self, here: _Place) -> None:
        newest = self._newest
        if newest is None:
            self._newest = here
        elif here.cluster != newest.cluster:
            raise LeftBehind(
                f"this server belongs to another cluster (system identifier {here.cluster}) than the one that"
                f" this process works with ({newest.cluster}): correct the hosts in the URL, or restart the"
                " process to work with the other"
            )
        elif here.timeline < newest.timeline:
            raise LeftBehind(
                f"this server is on timeline {here.timeline}, and another one has taken over from it on"
                f" timeline {newest.timeline}: stop it, or make it a standby of the other (pg_rewind)"
            )
        elif here.timeline > newest.timeline:
            _log.warning("a standby has taken over: timeline %d follows %d", here.timeline, newest.timeline)
            self._newest = here


async def _place_of(connection: Connection) -> _Place | None:
    """Ask a server where it is; None if it does not say, as a standby and some services do not."""
    try:
        answer = await connection.execute(_WHERE, prepare=False)
        row = await answer.fetchone()
    except psycopg.Error:
        if connection.closed or connection.pgconn.status != psycopg.pq.ConnStatus.OK:
            raise
        return None
    assert row is not None
    return _Place(*row)
