"""The system actors of one runtime, wired to each other by memory channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from random import Random
from typing import Any

import trio
from attrs import define, evolve, field

from rolebook.actors import App, InvalidSetting, OutcomeUnknown, Stopping

from ._outages import Outages
from ._roles import Role
from ._settings import Settings
from ._too_new import too_new
from .client import ClientContext, NotRunning, Replies
from .contract import Ending, Replay, RetryAsNew, SendLater, ServerForgot, Store, Totals, due_of
from .handlers import ActorHandler, HandlerContext, QueueHandler
from .system import (
    CommitQueue,
    Fetcher,
    FetcherSignal,
    Hand,
    HandlerSignal,
    Life,
    Listener,
    Scheduler,
    SendCount,
    Standing,
    StoreClock,
    Writer,
)


@define(eq=False)
class Assembly:
    """What the tree of a runtime starts.

    The channels outlive a restart of the part that reads them. A handler is
    made anew for each of its lives, because what it holds belongs to one session.

    Attributes:
        asks: Where to hand a command for an actor of this process, by the actor's name.
        handlers: The handlers of the present session, by queue.
        role: What of the app this process runs.
        ending: Tells all parts that the runtime ends.
        hand: What is being handled: for the watch over the loop.
        things: What handlers and start functions are given by name.
        life: The number of this process in the database.
        replays: What rebuilds the actors of a kind: it keeps what it has done of a long journal.
        replies: Wakes those who wait for a reply through the database.
        outages: Tells of the failures of all parts.
        client_context: What the client side of the runtime works with.
        handler_context: What every handler works with.
    """

    app: App
    store: Store
    settings: Settings
    process: str
    role: Role
    ending: Ending
    things: Mapping[str, Any] = field(factory=dict[str, Any])
    life: Life = field(factory=Life)
    clock: StoreClock = field(factory=StoreClock)
    random: Random = field(factory=Random)
    count: SendCount = field(factory=SendCount)
    totals: Totals = field(factory=Totals)
    hand: Hand = field(factory=Hand)
    standing: Standing = field(factory=Standing)
    workers: set[trio.lowlevel.Task] = field(factory=set[trio.lowlevel.Task])
    owned: dict[str, AbstractSet[int]] = field(factory=dict[str, AbstractSet[int]])
    asks: dict[str, trio.MemorySendChannel[HandlerSignal]] = field(
        factory=dict[str, trio.MemorySendChannel[HandlerSignal]]
    )
    replays: dict[str, Replay] = field(factory=dict[str, Replay])
    handlers: dict[str, ActorHandler | QueueHandler] = field(factory=dict[str, ActorHandler | QueueHandler])
    replies: Replies = field(factory=Replies)
    outages: Outages = field(factory=Outages)
    client_context: ClientContext = field(init=False)
    handler_context: HandlerContext = field(init=False)
    fetcher: Fetcher = field(init=False)
    listener: Listener = field(init=False)
    writer: Writer = field(init=False)
    scheduler: Scheduler = field(init=False)

    def __attrs_post_init__(self) -> None:
        for name in self.settings.concurrency:
            if name not in self.app.handlers:
                known = ", ".join(self.app.handlers) or "none"
                raise InvalidSetting(f"concurrency.{name}", "no queue of that name", f"the app has: {known}")
        # Unbounded channels: what flows in them is bounded by the room that handlers
        # give to the fetcher, or by callers who wait for an answer.
        # A client has no fetcher, and hints that there is something to fetch go nowhere.
        to_fetcher, fetcher_inbox = trio.open_memory_channel[FetcherSignal](
            float("inf") if self.role.is_something else 1
        )
        app, store, settings = self.app, self.store, self.settings
        # What is being committed, and as much again that waits.
        to_writer = CommitQueue(2 * settings.batch_bytes)
        self.scheduler = Scheduler(store, settings, to_fetcher, self.clock)
        self.fetcher = Fetcher(
            store=store,
            settings=settings,
            owner=self.process,
            life=self.life,
            serves=self.role.queues,
            clock=self.clock,
            inbox=fetcher_inbox,
            owned=self.owned,
            count=self.count,
            declines=partial(too_new, app, store),
            standing=self.standing,
            ending=self.ending,
        )
        self.writer = Writer(
            store=store,
            inbox=to_writer.inbox,
            fetcher=to_fetcher,
            count=self.count,
            owned=self.owned,
            batch=settings.batch,
            on_schedule=self._expect,
            totals=self.totals,
            standing=self.standing,
            batch_bytes=settings.batch_bytes,
            queue=to_writer,
        )
        self.listener = Listener(
            store=store,
            settings=settings,
            process=self.process,
            life=self.life,
            fetcher=to_fetcher,
            on_reply=self.replies.wake,
            on_schedule=self.scheduler.expect,
            on_resume=self.look_for_resumed,
            standing=self.standing,
            proves=not self.role.is_something,
        )
        self.handler_context = HandlerContext(
            app=app,
            store=store,
            settings=settings,
            clock=self.clock,
            outbox=to_writer,
            fetcher=to_fetcher,
            random=self.random,
            totals=self.totals,
            count=self.count,
            workers=self.workers,
            hand=self.hand,
            standing=self.standing,
            ending=self.ending,
            client=self.things.get("runtime"),
        )
        self.client_context = ClientContext(
            app=app,
            store=store,
            settings=settings,
            process=self.process,
            outbox=to_writer,
            writer=self.writer,
            inboxes=self.asks,
            fetcher=to_fetcher,
            count=self.count,
            replies=self.replies,
            workers=self.workers,
            on_resumed=self.look_for_resumed,
            standing=self.standing,
        )
        if store is not None:  # pyright: ignore[reportUnnecessaryComparison] # a tree to look at has none
            store.on_forgotten(self.standing.forget)
            store.tell(self.outages)
        self.standing.on_forgotten += [self.writer.void_waiting, self._wake_askers]

    def _expect(self, parts: Sequence[SendLater | RetryAsNew]) -> None:
        now = self.clock.now().timestamp()
        self.scheduler.expect(min(due_of(part, now) for part in parts))

    def _wake_askers(self, _: ServerForgot) -> None:
        self.replies.wake()

    def end(self, what: str) -> None:
        """The tree has ended: tell those who still wait that nobody will answer them."""
        self.writer.refuse_rest(NotRunning(f"the {what} has ended; this was not sent"))
        self.replies.end(OutcomeUnknown(f"the {what} ended before the reply to this ask came"))

    def look_for_resumed(self, queue: str) -> None:
        """Let a handler look whether stopped keys of its queue were resumed."""
        if (handler := self.handlers.get(queue)) is not None:
            handler.look_for_resumed()

    def note_of(self, queue: str) -> str:
        """Say what this process owns of a queue, and what its handler waits for, for the drawn tree."""
        handler = self.handlers.get(queue)
        waits = handler.shortage.note() if isinstance(handler, QueueHandler) else ""
        return "; ".join(filter(None, (self.fetcher.note_of(queue), waits)))

    def register(self, name: str, inbox: trio.MemorySendChannel[HandlerSignal] | None) -> None:
        """Say where commands for an actor go while they need no mailbox."""
        if inbox is None:
            self.asks.pop(name, None)
        else:
            self.asks[name] = inbox

    async def run_actors(self, name: str, *, stopping: Stopping, task_status: trio.TaskStatus[None]) -> None:
        """Run one life of the handler of an actor."""
        definition = self.app.actors[name]
        if (replay := self.replays.get(name)) is None:
            replay = self.replays[name] = Replay(
                definition, self.app.codec, self.store, self.settings.replay_bytes
            )
        handler = ActorHandler(definition, self.handler_context, self.register, replay)
        await self._run(name, handler, stopping, task_status)

    async def run_queue(self, name: str, *, stopping: Stopping, task_status: trio.TaskStatus[None]) -> None:
        """Run one life of the handler of a queue."""
        definition = self.app.handlers[name]
        wanted = self.settings.concurrency.get(name, definition.concurrency)
        function = definition.function
        if definition.needs:
            function = partial(function, **{need: self.things[need] for need in definition.needs})
        definition = evolve(definition, concurrency=wanted, function=function)
        handler = QueueHandler(definition, self.handler_context)
        await self._run(name, handler, stopping, task_status)

    async def _run(
        self,
        name: str,
        handler: ActorHandler | QueueHandler,
        stopping: Stopping,
        task_status: trio.TaskStatus[None],
    ) -> None:
        self.handlers[name] = handler
        if self.ending.is_announced:  # its session broke meanwhile: there is nothing to begin any more
            task_status.started()
            await stopping.wait()
        else:
            await handler.run(stopping=stopping, task_status=task_status)
