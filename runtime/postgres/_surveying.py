"""Look at all servers that a URL names: one of them may have taken over from the one that answers first."""

from __future__ import annotations

from contextlib import suppress

import trio
from psycopg._conninfo_utils import split_attempts
from psycopg.abc import ConnDict
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..contract import Ending
from ._errors import DatabaseError
from ._session import connect_session
from ._whereabouts import Whereabouts


async def survey(
    url: str, process: str, whereabouts: Whereabouts, *, patience: float, ending: Ending | None = None
) -> bool:
    """Take note of where each server is that takes writes; one that does not answer in time is passed over.

    Two servers that both take writes are an accident: an old primary that came back, or one that nobody has
    stopped. Whoever takes the first that answers may take the wrong one.

    Args:
        url: With several hosts; with one there is nothing to compare.
        process: The name of this process.
        whereabouts: Takes note.
        patience: Seconds for all of them.
        ending: Of the runtime: no connection takes longer than that to close.

    Returns:
        Whether there are several.
    """
    hosts = _hosts(url)
    if not hosts[1:]:
        return False
    with trio.move_on_after(patience):
        async with trio.open_nursery() as nursery:
            for host in hosts:
                nursery.start_soon(_visit, host, process, whereabouts, ending)
    return True


async def _visit(host: ConnDict, process: str, whereabouts: Whereabouts, ending: Ending | None) -> None:
    with suppress(DatabaseError):  # who connects for more than a look is told
        url = make_conninfo("", **host)
        accept = whereabouts.check
        async with await connect_session(url, role="survey", process=process, accept=accept, ending=ending):
            pass


def _hosts(url: str) -> list[ConnDict]:
    """Return the connection parameters of each host of a URL."""
    try:
        params = conninfo_to_dict(url)
    except Exception:  # noqa: BLE001 - whoever connects says what is wrong with it
        return []
    return split_attempts(params)
