"""`--fresh`: throw away what earlier runs stored, and nothing of anybody else's."""

from typing import Any, LiteralString

import trio
from psycopg import AsyncConnection

from rolebook.runtime.postgres import connect_session

from ._app import app

OTHERS = """
select count(*) from pg_catalog.pg_stat_activity
where datname = current_database() and application_name like 'rolebook %%' and pid <> pg_backend_pid()
"""

STRANGERS = """
select array_agg(distinct queue) from rolebook.partitions where queue <> all (%s)
"""

DROP = """
drop schema if exists rolebook cascade;
drop schema if exists flights cascade;
"""

PATIENCE = 5.0
"""Seconds that the sessions of a run that was just killed may take to end."""


class CannotStartOver(Exception):
    """Somebody else uses the database."""


async def start_over(url: str) -> None:
    """Drop the runtime's schema and the example's own.

    Raises:
        CannotStartOver: Another process uses them, or another app has its journals there.
    """
    async with await connect_session(url, role="fresh", process=app.name) as connection:
        await _check_alone(connection)
        await _check_ours(connection)
        await connection.execute(DROP)


async def _check_alone(connection: AsyncConnection) -> None:
    with trio.move_on_after(PATIENCE):
        while await _one(connection, OTHERS):  # noqa: ASYNC110 - the end of a session in the server sets no event here
            await trio.sleep(0.1)
        return
    raise CannotStartOver("another process works on this database: stop it before --fresh")


async def _check_ours(connection: AsyncConnection) -> None:
    if not await _one(connection, "select to_regclass('rolebook.partitions') is not null"):
        return
    if strangers := await _one(connection, STRANGERS, list(app.queues)):
        raise CannotStartOver(
            f"the database also holds the queues {', '.join(strangers)} of another app, which --fresh"
            " would delete: give the example a database of its own"
        )


async def _one(connection: AsyncConnection, query: LiteralString, *parameters: object) -> Any:
    row = await (await connection.execute(query, parameters)).fetchone()
    return None if row is None else row[0]
