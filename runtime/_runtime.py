"""The runtime: an app at work, and the way to talk to its actors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, final

import trio
from attrs import define, field, frozen

from rolebook.actors import (
    App,
    Command,
    Enqueue,
    RolebookError,
    Tell,
    Tree,
    actor_name,
    check_key,
    open_supervisor,
)

from ._actor_handler import ActorHandler, ActorStatistics
from ._asking import Asking, Question
from ._drift import check_drift
from ._failing import describe
from ._headers import ONCE
from ._listener import ListenerState
from ._parts import Parts
from ._place import Place, open_place
from ._posting import NotRunning, Posting
from ._process import check_process_name, process_name
from ._reading import Recorded, read_events, read_keys, read_states
from ._settings import Settings
from ._store import DeadLetter, Parked, Store
from ._tree import Arrangement, arranged_tree, settings_of

R = TypeVar("R")
S = TypeVar("S")


@final
@frozen
class RuntimeStatistics:
    """What a runtime has committed since it was opened.

    Attributes:
        commits: Transactions.
        turns: Turns, and messages sent from outside.
        events: Events appended to the journal.
        actors: By kind, what is in memory now and has been done since the session was opened.
    """

    commits: int
    turns: int
    events: int
    actors: Mapping[str, ActorStatistics]


@define(eq=False)
class _Running:
    """What a runtime has while it is open."""

    parts: Parts
    tree: Tree
    posting: Posting
    asking: Asking = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.asking = Asking(self.posting)


@final
class Runtime:
    """An app at work.

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
    ) -> None:
        app.check()
        self.app = app
        self.settings: Settings = settings_of(app, settings or Settings(), tree)
        self.process: str = process_name(app.name) if process is None else check_process_name(process)
        self._place = Place(database, direct_url, folder, migrate)
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
        async with open_place(self._place, self.settings, self.app.name, self.process) as store:
            await check_drift(self.app, store, self.settings.drift)
            parts = Parts(self.app, store, self.settings, self.process)
            raised: BaseException | None = None
            try:
                async with open_supervisor(arranged_tree(parts, self._arrangement)) as tree:
                    self._running = _Running(parts, tree, Posting(parts))
                    try:
                        yield
                    except BaseException as error:
                        raised = error
                        raise
            except BaseExceptionGroup as group:
                # That there is a nursery is our affair: an error of the block is raised as it is.
                if raised is None or group.exceptions != (raised,):
                    raise
                raise raised from raised.__cause__
            finally:
                parts.writer.refuse_rest(NotRunning("the runtime has ended; this was not sent"))
                self._running = None

    # ---- sending ----

    async def tell(
        self,
        actor: type | str,
        key: str,
        command: object,
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        headers: Mapping[str, str] | None = None,
        priority: int = 0,
        idempotency_key: str | None = None,
        connection: Any = None,
    ) -> None:
        """Send a command to one actor. It is durable once this returns.

        Order: commands of one sender to one actor are handled in the order they were sent.
        Cancellation: what the writer has not begun to commit is not sent; what it has, may be.
        With an idempotency key it may be sent again without harm, by whichever process.

        Args:
            actor: The actor's class, or its name.
            key: Which one.
            command: What it is told.
            delay: Not before so many seconds (or a timedelta).
            at: Not before this moment; a datetime with a zone.
            headers: Travels with the message.
            priority: -1 (low), 0, or 1 (high).
            idempotency_key: Names this request to this actor: only the first command with it has
                an effect, for as long as `Settings.idempotency_retention` says.
            connection: A psycopg connection of the caller's: the message is then part of the
                caller's transaction, and durable when that commits.

        Raises:
            InvalidKey: The key cannot be stored.
            PayloadTooLarge: The command is over the app's limit.
            Unencodable: The command would not come back as it was.
            QueueFull: The actor's queue has no room under `Limits(depth=...)`.
        """
        effect = Tell(actor, key, command, delay=delay, at=at, headers=headers or {}, priority=priority)
        ours = {} if idempotency_key is None else {ONCE: check_key(idempotency_key)}
        await self._now.posting.send((effect,), ours, connection)

    async def enqueue(
        self,
        queue: str,
        command: object,
        *,
        key: str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        headers: Mapping[str, str] | None = None,
        priority: int = 0,
        connection: Any = None,
    ) -> None:
        """Send a command to a queue; as `tell` otherwise.

        Args:
            queue: The name of the queue.
            command: What its handler gets.
            key: Messages of one key are handled one at a time, in order.
            delay: Not before so many seconds (or a timedelta).
            at: Not before this moment; a datetime with a zone.
            headers: Travels with the message.
            priority: -1 (low), 0, or 1 (high).
            connection: A psycopg connection of the caller's, to be part of its transaction.
        """
        effect = Enqueue(
            queue, command, key=key, delay=delay, at=at, headers=headers or {}, priority=priority
        )
        await self.send(effect, connection=connection)

    async def send(self, *effects: Tell | Enqueue, connection: Any = None) -> None:
        """Send several messages in one transaction: all of them, or none.

        Args:
            effects: `Tell` and `Enqueue` values; those to one actor arrive in this order.
            connection: A psycopg connection of the caller's, to be part of its transaction.
        """
        await self._now.posting.send(effects, {}, connection)

    # ---- asking ----

    async def ask(
        self,
        actor: type | str,
        key: str,
        command: Command[R],
        *,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """Send a command to one actor and wait for its reply.

        The reply comes after the turn is committed. What this runtime told the
        actor before the ask is handled before it. Use `trio.fail_after` for a deadline.

        Cancellation: the turn has then either not begun, and never will, or it runs and
        commits whole; it never half-happens.

        Args:
            actor: The actor's class, or its name.
            key: Which one.
            command: What it is asked.
            headers: Travels with the command.
            idempotency_key: Names this request to this actor: who asks again with it, in whichever
                process, gets the first outcome, a refusal included, and nothing happens a second
                time, for as long as `Settings.idempotency_retention` says. A failure is no outcome.

        Returns:
            What the decider returned: a value of the caller's own, as of its turn.

        Raises:
            Rejected: The actor refused.
            Unencodable: The command would not come back as it was.
            PayloadTooLarge: The command is over the app's limit.
            OutcomeUnknown: The runtime stopped, or its writer failed, while the turn was being committed.
                Ask again with the same idempotency key to learn what came of it.
            ActorUnavailable: Its journal cannot be replayed.
            UnknownQueue: Neither this app nor any process before has run such an actor.
            Exception: What the decider raised; as `AskFailed` if it ran in another process.
        """
        name, asking = actor_name(actor), self._now.asking
        check_key(key)
        reply: R
        if idempotency_key is None:
            reply = await asking.ask(Question(name, key, command, headers or {}, {}))
        else:
            once = check_key(idempotency_key)
            reply = await asking.ask_once(name, key, command, headers or {}, once)
        return reply

    # ---- reading ----

    async def read(self, actor: type[S], key: str) -> S:
        """Return an actor's state as its committed events say: a value of the caller's own.

        Raises:
            BrokenStream: Its journal cannot be replayed.
        """
        return (await self.read_many(actor, [key]))[key]

    async def read_many(self, actor: type[S], keys: Iterable[str]) -> dict[str, S]:
        """Return the states of many actors, as `read` does for one, with few queries.

        Each state is as of one moment; different actors may be read at different moments.

        Args:
            actor: The actors' class.
            keys: Which ones. One that nothing has happened to is in its initial state.

        Returns:
            The states by key, in the order of the keys.

        Raises:
            DefinitionError: The app has no such actor.
            InvalidKey: One of the keys cannot be stored.
            BrokenStream: The journal of one of them cannot be replayed.

        Example:
            ```python
            accounts = await runtime.read_many(Account, ["alice", "bob"])
            ```
        """
        return await read_states(self._now.parts, actor, keys)

    def keys(self, actor: type | str) -> AsyncGenerator[str]:
        """Give the key of every actor of a kind that has events, in the database's order, page by page.

        Actors whose first event is committed meanwhile may or may not be among them.

        Args:
            actor: The actors' class, or its name.
        """
        return read_keys(self._now.parts, actor_name(actor))

    def events(self, actor: type | str, key: str, *, after: int = 0) -> AsyncGenerator[Recorded]:
        """Give an actor's committed events, in order, page by page.

        Args:
            actor: The actor's class, or its name.
            key: Which one.
            after: The sequence number to start after.
        """
        return read_events(self._now.parts, actor_name(actor), key, after)

    async def wait_idle(self) -> None:
        """Wait until no message for this app is due, and none is in work, in any process.

        A message that waits for a later time, or for a retry, is not due. Those that wait
        behind it, because its key is blocked or parked, are: with such a key this waits until it goes on.
        """
        parts = self._now.parts
        while True:
            committed = parts.writer.committed
            if not await parts.store.pending(parts.app.queues):
                return
            with trio.move_on_after(min(0.2, self.settings.poll_interval)):
                await committed.wait()

    async def depths(self) -> dict[str, int]:
        """Return how many messages each queue of this app holds, those that wait for a retry included.

        Messages for a later time are not counted until they are due. The count visits every waiting
        message: with a long backlog, ask now and then, not all the time.
        """
        parts = self._now.parts
        return await parts.store.depths(parts.app.queues)

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """Lend one of the runtime's pooled connections, for SQL and sends in one transaction.

        The connection is in autocommit mode and its search_path is empty: name tables with their
        schema. A transaction that is open at the end of the block is rolled back. The pool has
        `Settings.pool_size` connections: give them back soon.

        Raises:
            PoolExhausted: None was free within `Settings.acquire_timeout`.

        Example:
            ```python
            async with runtime.connection() as connection, connection.transaction():
                await connection.execute("insert into shop.orders (id) values (%s)", [42])
                await runtime.tell(Order, "42", Confirm(), connection=connection)
            ```
        """
        return self._now.parts.store.connection()

    async def parked(self) -> list[Parked]:
        """Return the keys of this app's actors and queues that are stopped until they are resumed.

        That is what `on_failure="park"` stopped after a failure, and actors whose journal cannot be
        replayed. The database knows of those that have a message, whichever process they belong to;
        an actor that was found broken by an ask alone is known in its own process only.
        """
        parts = self._now.parts
        found = {(each.queue, each.key): each for each in await parts.store.parked(parts.app.queues)}
        for name, handler in parts.handlers.items():
            if isinstance(handler, ActorHandler):
                for key, problem in handler.parked().items():
                    found.setdefault((name, key), Parked(name, key, 0, describe(problem)))
        return sorted(found.values(), key=lambda each: (each.queue, each.key))

    async def resume(self, actor: type | str, key: str) -> int:
        """Let a parked key go on: its first message is tried again, and the others follow in order.

        It works whichever process the key belongs to: that is told at once, and finds out within
        `Settings.poll_interval` if the notification is lost. For a key that is not parked it does nothing.

        Args:
            actor: The actor's class or name, or the name of a queue.
            key: Which one.

        Returns:
            How many messages of the key were parked; 0 too for an actor that an ask alone found broken.
        """
        parts, name = self._now.parts, actor_name(actor)
        resumed = await parts.store.resume(name, check_key(key))
        parts.look_for_resumed(name)
        return resumed

    async def dead_letters(self, queue: str | None = None, *, most: int = 100) -> list[DeadLetter]:
        """Return the newest dead letters, of one queue or of all."""
        return await self._now.parts.store.dead_letters(queue, most)

    async def redrive(self, letters: Sequence[int] | None = None, *, queue: str | None = None) -> int:
        """Put dead letters back into their mailboxes, with no attempts counted; return how many.

        Args:
            letters: Their ids; None for all.
            queue: Only those of this queue; None for all.
        """
        return await self._now.parts.store.redrive(letters, queue)

    # ---- looking in ----

    @property
    def tree(self) -> Tree:
        """The running supervision tree."""
        return self._now.tree

    @property
    def listening(self) -> ListenerState:
        """Whether notifications arrive: "listening", "polling", or "degraded" while the session is down."""
        return self._now.parts.listener.state

    def statistics(self) -> RuntimeStatistics:
        """Return what has been committed since the runtime was opened."""
        totals = self._now.parts.totals
        actors = {
            name: handler.statistics()
            for name, handler in self._now.parts.handlers.items()
            if isinstance(handler, ActorHandler)
        }
        return RuntimeStatistics(totals.commits, totals.turns, totals.events, actors)

    @property
    def store(self) -> Store:
        """The store it works on."""
        return self._now.parts.store

    @property
    def _now(self) -> _Running:
        if self._running is None:
            raise NotRunning("the runtime is not open: use it inside `async with open_runtime(...)`")
        return self._running
