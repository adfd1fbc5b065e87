"""The client: sends to the actors of an app, asks them, reads them. It handles nothing itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import trio
from attrs import define, field

from rolebook.actors import App, Command, Enqueue, RolebookError, Tell, actor_name, check_key, checked_headers

from .._settings import Settings
from ..contract import ONCE, DeadLetter, StoppedKey
from ._asking import Asking, Question
from ._context import ClientContext, is_within
from ._errors import NotRunning
from ._reading import Recorded, read_events, read_keys, read_states
from ._sending import OutsideSender

R = TypeVar("R")
S = TypeVar("S")


@define(eq=False)
class _Open:
    """What a client has while it is open."""

    context: ClientContext
    outside: OutsideSender = field(init=False)
    asking: Asking = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.outside = OutsideSender(self.context)
        self.asking = Asking(self.outside)


class Client:
    """Sends to the actors of an app, asks them and reads them.

    A `Runtime` is a client that also serves: what needs no handler is here. Write a function that only talks
    to actors for a `Client`, and it can be given either.

    Args:
        app: Whose actors.
        settings: How it behaves.
        process: This process's name in the database; must differ between processes.
    """

    def __init__(self, app: App, settings: Settings, process: str) -> None:
        self.app = app
        self.settings: Settings = settings
        self.process: str = process
        self._client: _Open | None = None

    def _begin(self, context: ClientContext) -> None:
        """From now on it can be used."""
        self._client = _Open(context)

    def _end(self) -> None:
        """From now on every use is `NotRunning`."""
        self._client = None

    @property
    def _now(self) -> _Open:
        if self._client is None:
            raise NotRunning(
                "it is not open: use it inside `async with open_runtime(...)` or `open_client(...)`"
            )
        return self._client

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
        await self._now.outside.send((effect,), ours, connection)

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
        await self._now.outside.send(effects, {}, connection)

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
            Rejected: The actor refused; a subclass with `@rejection` if it is among the app's `messages`.
            Unencodable: The command would not come back as it was.
            PayloadTooLarge: The command is over the app's limit.
            OutcomeUnknown: The runtime stopped, or its writer failed, while the turn was being committed.
                Ask again with the same idempotency key to learn what came of it.
            ActorUnavailable: Its journal cannot be replayed.
            UnknownQueue: Neither this app nor any process before has run such an actor.
            AskFailed: The decider raised something else, which is the cause if it ran in this process; or
                it replied with what cannot be stored.
        """
        name, asking = actor_name(actor), self._now.asking
        key = check_key(key)
        travelling: Mapping[str, str] = checked_headers(headers) if headers else {}
        reply: R
        if idempotency_key is None:
            reply = await asking.ask(Question(name, key, command, travelling, {}))
        else:
            once = check_key(idempotency_key)
            reply = await asking.ask_once(name, key, command, travelling, once)
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
        context = self._now.context
        return await read_states(context.app, context.store, actor, keys, self.settings.replay_bytes)

    def keys(self, actor: type | str) -> AsyncGenerator[str]:
        """Give the key of every actor of a kind that has events, in the database's order, page by page.

        Actors whose first event is committed meanwhile may or may not be among them.

        Args:
            actor: The actors' class, or its name.
        """
        return read_keys(self._now.context.store, actor_name(actor))

    def events(self, actor: type | str, key: str, *, after: int = 0) -> AsyncGenerator[Recorded]:
        """Give an actor's committed events, in order, page by page.

        Args:
            actor: The actor's class, or its name.
            key: Which one.
            after: The sequence number to start after.
        """
        context = self._now.context
        most_bytes = self.settings.replay_bytes
        name = actor_name(actor)
        return read_events(context.app, context.store, name, key, after=after, most_bytes=most_bytes)

    async def wait_idle(self) -> None:
        """Wait until no message for this app is due, and none is in work, in any process.

        A message for a later time is not due, and neither is a message that waits for its retry. But the
        messages of the same key behind it are due: while a key is blocked, parked or broken and has more
        than its first message in the mailbox, this does not return.

        Raises:
            RolebookError: It is called in the handler of a queue of this runtime: it would wait for itself.
        """
        context = self._now.context
        if is_within(context.workers):
            raise RolebookError(
                "wait_idle() in the handler of a queue would wait for itself: its own message is in work"
                " until it returns"
            )
        while True:
            committed = context.writer.committed
            if not await context.store.pending(context.app.queues):
                return
            # Another process's commit rings no bell here: look again after a while.
            with trio.move_on_after(min(0.2, context.settings.poll_interval)):
                await committed.wait()

    async def depths(self) -> dict[str, int]:
        """Return how many messages each queue of this app holds, those that wait for a retry included.

        Messages for a later time are not counted until they are due. The count visits every waiting
        message: with a long backlog, ask now and then, not all the time.
        """
        context = self._now.context
        return await context.store.depths(context.app.queues)

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """Lend one of the pooled connections, for SQL and sends in one transaction.

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
        return _lent(self._now.context)

    def sent_by_sql(self) -> None:
        """Say that this process has sent messages by SQL, on a connection that this client does not know.

        What it asks from now on comes behind what was committed by now. There is no need to say so of
        connections that the client lends, nor of those given as `connection=`.

        Example:
            ```python
            with psycopg.connect(url) as other:
                other.execute("select rolebook.tell('account', 'alice', 'account.close', '{}')")
            client.sent_by_sql()
            ```
        """
        self._now.context.count.sent_anywhere()

    async def parked(self) -> list[StoppedKey]:
        """Return the keys that `on_failure="park"` stopped, of this app's actors and queues.

        The database knows of all of them, whichever process they belong to. Each waits for `resume`.
        """
        return [stopped for stopped in await self._stopped() if stopped.state == "parked"]

    async def broken(self) -> list[StoppedKey]:
        """Return the actors of this app whose journal cannot be replayed.

        The database knows of those that have a message, whichever process they belong to. Each waits for
        `resume`, which has it replayed again.
        """
        return [stopped for stopped in await self._stopped() if stopped.state == "broken"]

    async def _stopped(self) -> list[StoppedKey]:
        context = self._now.context
        return await context.store.stopped(context.app.queues)

    async def resume(self, actor: type | str, key: str) -> int:
        """Let a parked or broken key go on: its first message is tried again, and the others follow in order.

        It works whichever process the key belongs to: that is told at once, and finds out within
        `Settings.poll_interval` if the notification is lost. For a key that is not stopped it does nothing.

        Args:
            actor: The actor's class or name, or the name of a queue.
            key: Which one.

        Returns:
            How many messages of the key were stopped; 0 too for an actor that an ask alone found broken.
        """
        context, name = self._now.context, actor_name(actor)
        resumed = await context.store.resume(name, check_key(key))
        context.on_resumed(name)
        return resumed

    async def dead_letters(self, queue: str | None = None, *, most: int = 100) -> list[DeadLetter]:
        """Return the newest dead letters, of one queue or of all."""
        return await self._now.context.store.dead_letters(queue, most)

    async def redrive(self, letters: Sequence[int] | None = None, *, queue: str | None = None) -> int:
        """Put dead letters back into their mailboxes, with no attempts counted; return how many.

        Args:
            letters: Their ids; None for all.
            queue: Only those of this queue; None for all.
        """
        context = self._now.context
        redriven = await context.store.redrive(letters, queue)
        context.count.sent_anywhere()
        return redriven


@asynccontextmanager
async def _lent(context: ClientContext) -> AsyncGenerator[Any]:
    with context.count.lending():
        async with context.store.connection() as connection:
            yield connection
