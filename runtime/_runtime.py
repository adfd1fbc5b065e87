"""The runtime: an app at work, and the way to talk to its actors."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, final

import trio
from attrs import frozen

from understudy.actors import (
    App,
    Command,
    DefinitionError,
    Enqueue,
    OutcomeUnknown,
    Tell,
    Tree,
    UnderstudyError,
    actor_name,
    check_key,
    open_supervisor,
)

from ._actor_handler import ActorHandler
from ._failing import describe
from ._finished import Finished, Lineage, NotOwner, Promise, Repeated, Settled, Verdict
from ._headers import ASK, ASKER, ONCE, around, once_id, parse
from ._listener import ListenerState
from ._parts import Parts
from ._recovering import Recovery
from ._replying import read_outcome
from ._rows import Rare, SendRow
from ._sending import Sender
from ._settings import Settings
from ._signals import LocalAsk
from ._store import DeadLetter, Parked, Store
from ._tree import Arrangement, arranged_tree, settings_of
from .memory import MemoryStore
from .postgres import choose_database, open_database
from .postgres import open_store as open_postgres_store

R = TypeVar("R")
S = TypeVar("S")

_log = logging.getLogger("understudy")

PAGE = 1000
"""Events, or keys, read from the journal at a time."""


@final
class NotRunning(UnderstudyError):
    """The runtime was used before it was opened, or after it was closed."""


@final
@frozen
class Recorded:
    """An event of an actor's journal.

    Attributes:
        seq: Counts the actor's events from 1, without a gap.
        event: The event, decoded.
        metadata: What caused it: the ids of the message and of the first message of its trail.
        recorded_at: The time of its commit's transaction.
    """

    seq: int
    event: Any
    metadata: Mapping[str, str]
    recorded_at: datetime


@final
@frozen
class RuntimeStatistics:
    """What the writer of a runtime has committed since it was opened.

    Attributes:
        commits: Transactions.
        turns: Turns, and messages sent from outside.
        events: Events appended to the journal.
    """

    commits: int
    turns: int
    events: int


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
        self._arrangement = tree
        self.process: str = (
            process or f"{app.name}@{socket.gethostname()[:20]}:{os.getpid()}:{uuid.uuid4().hex[:4]}"
        )
        self._database = database
        self._direct_url = direct_url
        self._folder = folder
        self._migrate = migrate
        self._ids = count(1)
        self._parts: Parts | None = None
        self._tree: Tree | None = None

    async def run(self, *, task_status: trio.TaskStatus[Runtime] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled, or until its tree gives up; for `nursery.start`.

        Example:
            ```python
            runtime = await nursery.start(us.Runtime(app).run)
            ```
        """
        async with self.opened():
            task_status.started(self)
            assert self._tree is not None
            await self._tree.wait_stopped()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Run for the length of a block, as `open_runtime` does."""
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(self._open_store())
            self._parts = Parts(self.app, store, self.settings, self.process)
            raised: BaseException | None = None
            try:
                async with open_supervisor(arranged_tree(self._parts, self._arrangement)) as self._tree:
                    try:
                        yield
                    except Exception as error:
                        raised = error
                        raise
            except BaseExceptionGroup as group:
                # That there is a nursery is our affair: an error of the block is raised as it is.
                if raised is None or group.exceptions != (raised,):
                    raise
                raise raised from raised.__cause__
            finally:
                self._parts.writer.refuse_rest(NotRunning("the runtime has ended; this was not sent"))
                self._parts = None

    @asynccontextmanager
    async def _open_store(self) -> AsyncGenerator[Store]:
        if self._database == "memory:":
            yield MemoryStore(partitions=self.settings.partitions)
            return
        if self._database is not None and not isinstance(self._database, str):
            yield self._database
            return
        choice = choose_database(self._database)
        async with open_database(choice, folder=self._folder, database=self.app.name) as url:
            _log.info("%s", choice)
            async with open_postgres_store(
                url, self.settings, self.process, direct_url=self._direct_url, migrating=self._migrate
            ) as store:
                yield store

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
        """
        effect = Tell(actor, key, command, delay=delay, at=at, headers=headers or {}, priority=priority)
        ours = {} if idempotency_key is None else {ONCE: check_key(idempotency_key)}
        await self._send((effect,), ours, connection)

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
        await self._send(effects, {}, connection)

    async def _send(
        self, effects: Sequence[Tell | Enqueue], ours: Mapping[str, str], connection: Any
    ) -> None:
        parts = self._running()
        now, later = self._sender(parts).rows(effects, None, ours)
        if connection is not None:
            rings = sorted({row.queue for row in now})
            await parts.store.send(connection, now, later, rings)
        else:
            await self._commit(parts, now, later)

    async def _commit(self, parts: Parts, sends: Sequence[SendRow], rare: Sequence[Rare]) -> None:
        origin, verdicts = trio.open_memory_channel[Settled](1)
        lineage = Lineage()
        try:
            parts.outbox.send_nowait((Finished(origin, sends=sends, rare=rare, lineage=lineage),))
        except trio.BrokenResourceError:
            raise NotRunning("the runtime has ended; this was not sent") from None
        try:
            settled = await verdicts.receive()
        except trio.Cancelled:
            lineage.void = True  # the writer passes over it, if it has not begun
            raise
        if settled.verdict is not Verdict.COMMITTED:
            raise settled.error or OutcomeUnknown(f"the send ended as {settled.verdict.value}")

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
            What the decider returned.

        Raises:
            Rejected: The actor refused.
            OutcomeUnknown: The runtime stopped, or its writer failed, while the turn was being committed.
                Ask again with the same idempotency key to learn what came of it.
            ActorUnavailable: Its journal cannot be replayed.
            Exception: What the decider raised; as `AskFailed` if it ran in another process.
        """
        name = actor_name(actor)
        parts = self._running()
        check_key(key)
        if idempotency_key is None:
            return await self._ask(parts, name, key, command, headers, {})
        once = once_id(name, key, check_key(idempotency_key))
        while True:
            outcome = await parts.store.outcome(once)
            if outcome is not None:
                first: R = read_outcome(parts.app.codec, type(command), outcome)
                return first
            with suppress(Repeated):  # somebody else was first, after this looked
                return await self._ask(parts, name, key, command, headers, {ONCE: idempotency_key})

    async def _ask(  # noqa: PLR0917 - what `ask` was given, and the runtime's own headers
        self,
        parts: Parts,
        name: str,
        key: str,
        command: Command[R],
        headers: Mapping[str, str] | None,
        ours: Mapping[str, str],
    ) -> R:
        if name in parts.asks:
            try:
                return await self._ask_here(parts, name, key, command, headers, ours)
            except NotOwner:
                pass  # its turn has not begun, or was void: the mailbox knows the way
        return await self._ask_elsewhere(parts, name, key, command, headers, ours)

    async def _ask_here(  # noqa: PLR0917 - as `_ask`
        self,
        parts: Parts,
        name: str,
        key: str,
        command: Command[R],
        headers: Mapping[str, str] | None,
        ours: Mapping[str, str],
    ) -> R:
        promise = Promise()
        ask_id = f"{self.process}/{next(self._ids)}"
        text = None if not headers and not ours else around(headers or {}, ours)
        after = parts.count.by_queue.get(name, 0)
        parts.asks[name].send_nowait(LocalAsk(key, command, promise, ask_id, text, after))
        reply: R = await promise.wait()
        return reply

    async def _ask_elsewhere(  # noqa: PLR0917 - as `_ask`
        self,
        parts: Parts,
        name: str,
        key: str,
        command: Command[R],
        headers: Mapping[str, str] | None,
        ours: Mapping[str, str],
    ) -> R:
        ask_id = f"{self.process}/{uuid.uuid4().hex}"
        now, _ = self._sender(parts).rows([Tell(name, key, command)], None)
        text = around(headers or {}, {**ours, ASK: ask_id, ASKER: self.process})
        await self._commit(parts, [now[0]._replace(headers=text)], ())
        while True:
            replied = parts.replied
            outcome = await parts.store.outcome(ask_id)
            if outcome is not None:
                reply: R = read_outcome(parts.app.codec, type(command), outcome)
                return reply
            with trio.move_on_after(self.settings.poll_interval):
                await replied.wait()

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
        parts = self._running()
        name = actor_name(actor)
        definition = parts.app.actors.get(name)
        if definition is None:
            raise DefinitionError(
                f"app {parts.app.name!r} has no actor {name!r}: add {actor.__qualname__} to its actors"
            )
        wanted = list(dict.fromkeys(check_key(key) for key in keys))
        found = await Recovery(definition, parts.app.codec, parts.store).recover(wanted)
        states: dict[str, S] = {}
        for key in wanted:
            recovered = found[key]
            if recovered.problem is not None:
                raise recovered.problem
            states[key] = recovered.state
        return states

    async def keys(self, actor: type | str) -> AsyncGenerator[str]:
        """Give the key of every actor of a kind that has events, in the database's order, page by page.

        Actors whose first event is committed meanwhile may or may not be among them.

        Args:
            actor: The actors' class, or its name.
        """
        parts, name, after = self._running(), actor_name(actor), ""
        while page := await parts.store.keys(name, after, PAGE):
            for key in page:
                yield key
            after = page[-1]

    async def events(self, actor: type | str, key: str, *, after: int = 0) -> AsyncGenerator[Recorded]:
        """Give an actor's committed events, in order, page by page.

        Args:
            actor: The actor's class, or its name.
            key: Which one.
            after: The sequence number to start after.
        """
        parts = self._running()
        name, decode = actor_name(actor), parts.app.codec.decode_event
        while True:
            page = await parts.store.read_events(name, check_key(key), after, PAGE)
            for row in page:
                event = decode(row.type, row.version, row.payload)
                yield Recorded(row.seq, event, parse(row.metadata), row.recorded_at)
            if len(page) < PAGE:
                return
            after = page[-1].seq

    async def wait_idle(self) -> None:
        """Wait until no message for this app is due, and none is in work, in any process.

        A message that waits for a later time, or for a retry, is not due.
        """
        parts = self._running()
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
        parts = self._running()
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
        return self._running().store.connection()

    async def parked(self) -> list[Parked]:
        """Return the keys of this app's actors and queues that are stopped until they are resumed.

        That is what `on_failure="park"` stopped after a failure, and actors whose journal cannot be
        replayed. The database knows of those that have a message, whichever process they belong to;
        an actor that was found broken by an ask alone is known in its own process only.
        """
        parts = self._running()
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
        parts, name = self._running(), actor_name(actor)
        resumed = await parts.store.resume(name, check_key(key))
        parts.look_for_resumed(name)
        return resumed

    async def dead_letters(self, queue: str | None = None, *, most: int = 100) -> list[DeadLetter]:
        """Return the newest dead letters, of one queue or of all."""
        return await self._running().store.dead_letters(queue, most)

    async def redrive(self, letters: Sequence[int] | None = None, *, queue: str | None = None) -> int:
        """Put dead letters back into their mailboxes, with no attempts counted; return how many.

        Args:
            letters: Their ids; None for all.
            queue: Only those of this queue; None for all.
        """
        return await self._running().store.redrive(letters, queue)

    # ---- looking in ----

    @property
    def tree(self) -> Tree:
        """The running supervision tree."""
        if self._tree is None:
            raise NotRunning("the runtime is not open")
        return self._tree

    @property
    def listening(self) -> ListenerState:
        """Whether notifications arrive: "listening", "polling", or "degraded" while the session is down."""
        return self._running().listener.state

    def statistics(self) -> RuntimeStatistics:
        """Return what has been committed since the runtime was opened."""
        writer = self._running().writer
        return RuntimeStatistics(writer.commits, writer.turns, writer.events)

    @property
    def store(self) -> Store:
        """The store it works on."""
        return self._running().store

    def _running(self) -> Parts:
        if self._parts is None:
            raise NotRunning("the runtime is not open: use it inside `async with open_runtime(...)`")
        return self._parts

    def _sender(self, parts: Parts) -> Sender:
        return Sender(parts.app, parts.store.partitions, parts.app.limits.payload)


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
) -> AsyncGenerator[Runtime]:
    """Run an app for the length of a block.

    At the end of the block the runtime stops in order: no new message is begun,
    what has begun is finished and committed, partitions are given back,
    connections are closed. If the block is cancelled, what has not been
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

    Raises:
        DatabaseError: The database cannot be reached, or refuses.
        SchemaError: Its schema does not fit, or may not be created.
        BudgetExceeded: It has too few connections left.

    Example:
        ```python
        async with us.open_runtime(app) as runtime:
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
    )
    async with runtime.opened():
        yield runtime
