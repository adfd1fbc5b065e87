"""Open the store of one database: find the way to it, look whether it fits, bring its schema up to date."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from rolebook.actors import InvalidSetting

from .._settings import PARTITIONS, Settings
from ..contract import Ending
from ._budget import READERS, check_budget
from ._connection import Connection
from ._migrating import check_schema, migrate, read_partitions
from ._pool import open_pool
from ._probing import Between
from ._routes import find_routes
from ._session import accept_any, connect_session, set_up
from ._statements import Statements
from ._store import PostgresStore
from ._surveying import survey
from ._whereabouts import Whereabouts


@asynccontextmanager
async def open_store(
    url: str,
    settings: Settings,
    process: str,
    *,
    direct_url: str | None = None,
    migrating: bool = True,
    ending: Ending | None = None,
) -> AsyncGenerator[PostgresStore]:
    """Open the store of one database, bringing its schema up to date first.

    Args:
        url: The database, as psycopg takes it.
        settings: Of the runtime.
        process: This process's name, for `application_name` and the owner of partitions.
        direct_url: Past the pooler, for the sessions that a pooler would break.
        migrating: Whether to migrate; otherwise an older schema is an error.
        ending: Of the runtime: bounds how long its connections take to close.

    Raises:
        DatabaseError: The database cannot be reached, or refuses.
        UnfitSession: A pooler that shares its sessions is in between, and no `direct_url` was given.
        SchemaError: Its schema does not fit, or may not be created.
        BudgetExceeded: It has too few connections left.
    """
    direct = direct_url or url
    whereabouts = Whereabouts()
    several = await survey(direct, process, whereabouts, patience=settings.health_deadline)
    setup = await connect_session(
        direct, role="setup", process=process, between=Between.UNKNOWN, accept=whereabouts.check
    )
    async with setup:
        routes = await find_routes(setup, url, direct, process, whereabouts.check if several else accept_any)
        await set_up(setup)
        if migrating:
            await migrate(setup, schema=settings.schema, partitions=settings.partitions or PARTITIONS)
        else:
            await check_schema(setup, schema=settings.schema)
        statements = Statements(settings.schema)
        await setup.execute(statements["forget_commits"])
        await check_budget(setup, settings.pool_size, pooled=routes.pooled)
        partitions = await read_partitions(setup, schema=settings.schema)
        if settings.partitions not in {None, partitions}:
            problem = (
                f"{settings.partitions} are asked for, and the queues of this database have {partitions}"
            )
            remedy = (
                f"leave it out, or stop every process and run: rolebook repartition {settings.partitions}"
            )
            raise InvalidSetting("partitions", problem, remedy)

    async def connect_shared(role: str, isolation: str | None) -> Connection[Any]:
        return await connect_session(
            whereabouts.first(url),
            role=role,
            process=process,
            isolation=isolation,
            prepare_threshold=routes.prepares_later,
            between=routes.shared.between,
            accept=whereabouts.check,
            ending=ending,
        )

    # What is lent keeps the isolation that the database's owner chose for it.
    connect = partial(connect_shared, "pool", None)
    read = partial(connect_shared, "reader", "read committed")
    open_pool_ending = partial(open_pool, ending=ending)
    async with (
        open_pool_ending(
            connect, size=settings.pool_size, acquire_timeout=settings.acquire_timeout
        ) as connections,
        open_pool_ending(read, size=READERS, acquire_timeout=settings.command_deadline) as readers,
    ):
        yield PostgresStore(
            url,
            direct,
            settings,
            process,
            connections,
            readers,
            statements,
            partitions,
            whereabouts,
            routes,
            ending,
        )
