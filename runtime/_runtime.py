"""The runtime: an app at work. It is a client that also serves."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Collection, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import final

import trio
from attrs import define, frozen

from rolebook.actors import App, RolebookError, Tree

from ._assembly import Assembly
from ._drift import check_drift
from ._open_tree import open_tree
from ._process import own_name
from ._resources import open_resources
from ._roles import Role
from ._settings import Settings
from ._store_choice import StoreChoice, open_chosen_store
from ._tree import Arrangement, arranged_tree, settings_of
from .client import Client, NotRunning
from .contract import Ending, StoppedKey, Store
from .handlers import ActorHandler, ActorStatistics
from .memory import MemoryStore
from .system import FetcherStatistics, ListenerState, LoopWatch

_log = logging.getLogger("rolebook")


@final
@frozen
class RuntimeStatistics:
    """What a runtime has committed since it was opened.

    Attributes:
        commits: Transactions.
        turns: Turns, and messages sent from outside.
        events: Events appended to the journal.
        longest_step: Seconds of the longest step of any task: for so long nothing else of the process ran.
        mailbox: What this process owns of each queue, which processes are members, and what it has read.
        actors: By kind, what is in memory now and has been done since the session was opened.
    """

    commits: int
    turns: int
    events: int
    longest_step: float
    mailbox: FetcherStatistics
    actors: Mapping[str, ActorStatistics]


@define(eq=False)
class _Running:
    """What a runtime has while it is open, besides what a client has."""

    assembly: Assembly
    tree: Tree
    watch: LoopWatch


@final
class Runtime(Client):
    """An app at work: a `Client` that also serves its actors and queues.

    Open one with `open_runtime`, or start `Runtime(app).run` in a nursery.

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
    """

    def __init__(
        self,
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
    ) -> None:
        app.check()
        self._role = Role.of(app, serve)
        name = own_name(app.name, process)
        super().__init__(app, settings_of(app, settings or Settings(), tree, self._role), name)
        self._choice = StoreChoice(database, direct_url, folder, migrate)
        self._arrangement = tree
        self._running: _Running | None = None
        self._is_open = False

    async def run(self, *, task_status: trio.TaskStatus[Runtime] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled, or until its tree gives up; for `nursery.start`.

        Example:
            ```python
            runtime = await nursery.start(rb.Runtime(app).run)
            ```
        """
        async with self.opened():
            task_status.started(self)
            await self.tree.wait_stopped()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Run for the length of a block, as `open_runtime` does.

        Raises:
            RolebookError: It is open already.
        """
        with self._being_open():
            async with self._working():
                yield

    @contextmanager
    def _being_open(self) -> Generator[None]:
        if self._is_open:
            raise RolebookError("this runtime is open already: for a second one make another Runtime(app)")
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False

    @asynccontextmanager
    async def _working(self) -> AsyncGenerator[None]:
        ending = Ending(self.settings.shutdown)
        async with open_chosen_store(
            self._choice, self.settings, self.app.name, self.process, ending
        ) as store:
            await check_drift(self.app, store, self.settings.drift)
            crowd = self._role.crowd(self.app, self.settings)
            if crowd and not isinstance(store, MemoryStore):
                _log.info("%s", crowd)
            async with open_resources(self.app, self._role, ending) as resources:
                things = {**resources, "runtime": self}
                role = self._role.given(things)
                async with self._serving_on(
                    Assembly(self.app, store, self.settings, self.process, role, ending, things)
                ):
                    yield

    @asynccontextmanager
    async def _serving_on(self, assembly: Assembly) -> AsyncGenerator[None]:
        watch = LoopWatch(self.settings.loop_hold, assembly.hand)
        try:
            with watch.watching():
                async with open_tree(arranged_tree(assembly, self._arrangement), assembly.ending) as tree:
                    # Only now: the tree has started, so whoever is let in finds handlers, or a mailbox.
                    self._running = _Running(assembly, tree, watch)
                    self._begin(assembly.client_context)
                    try:
                        yield
                    finally:
                        tree.request_stop()
        finally:
            assembly.end("runtime")
            self._end()
            self._running = None

    async def broken(self) -> list[StoppedKey]:
        """Return the actors of this app whose journal cannot be replayed.

        The database knows of those that have a message, whichever process they belong to; an actor that was
        found broken by an ask alone is known in its own process only. Each waits for `resume`, which has it
        replayed again.
        """
        found = {(each.queue, each.key): each for each in await super().broken()}
        for handler in self._serving.assembly.handlers.values():
            if isinstance(handler, ActorHandler):
                for stopped in handler.broken():
                    found.setdefault((stopped.queue, stopped.key), stopped)
        return sorted(found.values(), key=lambda each: (each.queue, each.key))

    # ---- looking in ----

    @property
    def tree(self) -> Tree:
        """The running supervision tree."""
        return self._serving.tree

    @property
    def listening(self) -> ListenerState:
        """Whether notifications arrive: "listening", "polling", or "degraded" while the session is down."""
        return self._serving.assembly.listener.state

    def statistics(self) -> RuntimeStatistics:
        """Return what has been committed since the runtime was opened."""
        totals = self._serving.assembly.totals
        actors = {
            name: handler.statistics()
            for name, handler in self._serving.assembly.handlers.items()
            if isinstance(handler, ActorHandler)
        }
        mailbox = self._serving.assembly.fetcher.statistics()
        longest_step = self._serving.watch.longest_step
        return RuntimeStatistics(totals.commits, totals.turns, totals.events, longest_step, mailbox, actors)

    @property
    def store(self) -> Store:
        """The store it works on."""
        return self._serving.assembly.store

    @property
    def _serving(self) -> _Running:
        if self._running is None:
            raise NotRunning("the runtime is not open: use it inside `async with open_runtime(...)`")
        return self._running
