"""`open_runtime`: an app at work for the length of a block."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from rolebook.actors import App

from ._runtime import Runtime
from ._settings import Settings
from ._tree import Arrangement
from .contract import Store


@asynccontextmanager
async def open_runtime(
    app: App,
    *,
    database: str | Store | None = None,
    direct_url: str | None = None,
    settings: Settings | None = None,
    folder: Path | None = None,
    process: str | None = None,
    migrate: bool = True,
    tree: Arrangement | None = None,
    serve: Collection[str] | None = None,
) -> AsyncGenerator[Runtime]:
    """Run an app for the length of a block.

    At the end of the block the runtime stops in order: no new message is begun,
    what has begun is finished and committed, partitions are given back,
    connections are closed. That takes `Settings.shutdown` seconds at most:
    what is not done by then is cancelled. If the block is cancelled, what has not been
    committed is void and will be handled again by whoever owns it next.

    Args:
        app: What to run.
        database: A URL; None for `DATABASE_URL`, or else the embedded server. "memory:" for the
            in-memory store, or a store, such as a `MemoryStore`, to share one.
        direct_url: Past the pooler, for the sessions that a pooler in between would break.
        settings: How it behaves.
        folder: Where the embedded server keeps its data.
        process: This process's name in the database; must differ between processes.
        migrate: Whether to bring the schema up to date at the start.
        tree: A TOML file, or a function from the default supervision tree to the wanted one.
        serve: The names of the actors, queues and children of the app that this process runs; None for all.
            What it does not serve it can send to, ask and read all the same.

    Raises:
        InvalidSetting: `serve` names what the app does not have.
        ResourceFailed: A resource that something needs could not be opened.
        DatabaseError: The database cannot be reached, or refuses.
        SchemaError: Its schema does not fit, or may not be created.
        BudgetExceeded: It has too few connections left.
        ClassDrift: A class of events changed without a new version, and such events are stored.

    Example:
        ```python
        async with rb.open_runtime(app) as runtime:
            await runtime.tell(Account, "alice", Deposit(5))
        ```
    """
    runtime = Runtime(
        app,
        database=database,
        direct_url=direct_url,
        settings=settings,
        folder=folder,
        process=process,
        migrate=migrate,
        tree=tree,
        serve=serve,
    )
    async with runtime.opened():
        yield runtime
