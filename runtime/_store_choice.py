"""Which store a runtime works on, opened."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import frozen

from ._settings import PARTITIONS, Settings
from .contract import Ending, Store
from .memory import MemoryStore
from .postgres import choose_database, open_database
from .postgres import open_store as open_postgres_store

_log = logging.getLogger("rolebook")

MEMORY = "memory:"
"""What to give as a database to get an in-memory store."""


@frozen
class StoreChoice:
    """Which store a runtime is to work on.

    Attributes:
        database: A URL; None for `DATABASE_URL`, or else the embedded server. "memory:", or a store.
        direct_url: Past the pooler, for the sessions that a pooler in between would break.
        folder: Where the embedded server keeps its data.
        migrate: Whether to bring the schema up to date.
    """

    database: str | Store | None
    direct_url: str | None
    folder: Path | None
    migrate: bool


@asynccontextmanager
async def open_chosen_store(
    choice: StoreChoice, settings: Settings, app: str, process: str, ending: Ending
) -> AsyncGenerator[Store]:
    """Open the store.

    Args:
        choice: Which one.
        settings: Of the runtime.
        app: The app's name, which is the name of its database on the embedded server.
        process: The process's name.
        ending: Of the runtime: bounds how long the store takes to close.
    """
    if choice.database == MEMORY:
        yield MemoryStore(partitions=settings.partitions or PARTITIONS)
        return
    if choice.database is not None and not isinstance(choice.database, str):
        yield choice.database
        return
    database = choose_database(choice.database)
    async with open_database(database, folder=choice.folder, database=app) as url:
        _log.info("%s", database)
        async with open_postgres_store(
            url, settings, process, direct_url=choice.direct_url, migrating=choice.migrate, ending=ending
        ) as store:
            yield store
