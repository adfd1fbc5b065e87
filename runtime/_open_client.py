"""`open_client`: to send, ask, read and list, and to run nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import final

from rolebook.actors import App

from ._assembly import Assembly
from ._open_tree import open_tree
from ._process import own_name
from ._roles import Role
from ._settings import Settings
from ._store_choice import StoreChoice, open_chosen_store
from ._tree import client_tree
from .client import Client
from .contract import Ending, Store


@asynccontextmanager
async def open_client(
    app: App,
    *,
    database: str | Store | None = None,
    direct_url: str | None = None,
    settings: Settings | None = None,
    folder: Path | None = None,
    process: str | None = None,
    migrate: bool = True,
) -> AsyncGenerator[Client]:
    """Send to an app's actors and queues, ask and read them, for the length of a block.

    It runs nothing: it owns no partition, handles no message, starts no child and opens no resource of the
    app. So it fits a web front end, a script, a notebook. The app may have no handlers at all; to read an
    actor, it must have its class.

    What is asked is handled by the processes that run the app, and waits for them: give an ask a time limit
    of your own, such as `trio.fail_after`.

    Args:
        app: Whose actors and queues.
        database: A URL; None for `DATABASE_URL`, or else the embedded server. Or a store, such as a
            `MemoryStore`, to share one with a runtime.
        direct_url: Past the pooler, for the session that listens.
        settings: How it behaves.
        folder: Where the embedded server keeps its data.
        process: This process's name in the database; must differ between processes.
        migrate: Whether to bring the schema up to date at the start.

    Raises:
        DatabaseError: The database cannot be reached, or refuses.
        SchemaError: Its schema does not fit, or may not be created.
        BudgetExceeded: It has too few connections left.

    Example:
        ```python
        async with rb.open_client(app) as client:
            balance = await client.ask(Account, "alice", Deposit(5))
        ```
    """
    name = own_name(app.name, process)
    chosen = settings or Settings()
    client = _Guest(app, chosen, name)
    async with client.opened(StoreChoice(database, direct_url, folder, migrate)):
        yield client


@final
class _Guest(Client):
    """A client with what it needs to work, and no more."""

    @asynccontextmanager
    async def opened(self, choice: StoreChoice) -> AsyncGenerator[None]:
        ending = Ending(self.settings.shutdown)
        async with open_chosen_store(choice, self.settings, self.app.name, self.process, ending) as store:
            assembly = Assembly(self.app, store, self.settings, self.process, Role((), ()), ending)
            try:
                async with open_tree(client_tree(assembly), ending):
                    self._begin(assembly.client_context)
                    yield
            finally:
                assembly.end("client")
                self._end()
