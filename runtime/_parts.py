"""The system actors of one runtime, wired to each other by memory channels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random

import trio
from attrs import define, evolve, field

from rolebook.actors import App, InvalidSetting, Stopping

from ._actor_handler import ActorHandler
from ._clock import StoreClock
from ._fetcher import Fetcher
from ._finished import Finished, Totals
from ._listener import Listener
from ._queue_handler import QueueHandler
from ._scheduler import Scheduler
from ._settings import Settings
from ._signals import FetcherSignal, HandlerSignal
from ._store import Store
from ._tools import Tools
from ._writer import SendCount, Writer


@define(eq=False)
class Parts:
    """What the tree of a runtime starts.

    The channels outlive a restart of the part that reads them. A handler is
    made anew for each of its lives, because what it holds belongs to one session.

    Attributes:
        asks: Where to hand a command for an actor of this process, by the actor's name.
        handlers: The handlers of the present session, by queue.
        replied: Set and replaced when replies may have arrived through the database.
    """

    app: App
    store: Store
    settings: Settings
    process: str
    clock: StoreClock = field(factory=StoreClock)
    random: Random = field(factory=Random)
    count: SendCount = field(factory=SendCount)
    totals: Totals = field(factory=Totals)
    owned: set[str] = field(factory=set[str])
    asks: dict[str, trio.MemorySendChannel[HandlerSignal]] = field(
        factory=dict[str, trio.MemorySendChannel[HandlerSignal]]
    )
    handlers: dict[str, ActorHandler | QueueHandler] = field(factory=dict[str, ActorHandler | QueueHandler])
    replied: trio.Event = field(factory=trio.Event)
    outbox: trio.MemorySendChannel[Sequence[Finished]] = field(init=False)
    tools: Tools = field(init=False)
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
        to_fetcher, fetcher_inbox = trio.open_memory_channel[FetcherSignal](float("inf"))
        self.outbox, writer_inbox = trio.open_memory_channel[Sequence[Finished]](float("inf"))
        to_scheduler, scheduler_inbox = trio.open_memory_channel[None](1)

        def wake_scheduler() -> None:
            with suppress(trio.WouldBlock):  # it is awake already
                to_scheduler.send_nowait(None)

        store, settings = self.store, self.settings
        self.tools = Tools(
            self.app, store, settings, self.clock, self.outbox, to_fetcher, self.random, self.totals
        )
        self.fetcher = Fetcher(
            store, settings, self.process, self.clock, fetcher_inbox, self.owned, self.count.by_queue
        )
        self.writer = Writer(
            store,
            writer_inbox,
            to_fetcher,
            self.count,
            self.owned,
            settings.batch,
            wake_scheduler,
            self.totals,
        )
        self.listener = Listener(
            store, settings, self.process, to_fetcher, self.wake_askers, wake_scheduler, self.look_for_resumed
        )
        self.scheduler = Scheduler(store, settings, to_fetcher, scheduler_inbox)

    def wake_askers(self) -> None:
        """Let those who wait for a reply through the database look for it."""
        self.replied.set()
        self.replied = trio.Event()

    def look_for_resumed(self, queue: str) -> None:
        """Let a handler look whether parked keys of its queue were resumed."""
        if (handler := self.handlers.get(queue)) is not None:
            handler.look_for_resumed()

    def register(self, name: str, inbox: trio.MemorySendChannel[HandlerSignal] | None) -> None:
        """Say where commands for an actor go while they need no mailbox."""
        if inbox is None:
            self.asks.pop(name, None)
        else:
            self.asks[name] = inbox

    async def run_actors(self, name: str, *, stopping: Stopping, task_status: trio.TaskStatus[None]) -> None:
        """Run one life of the handler of an actor."""
        handler = ActorHandler(self.app.actors[name], self.tools, self.register)
        self.handlers[name] = handler
        await handler.run(stopping=stopping, task_status=task_status)

    async def run_queue(self, name: str, *, stopping: Stopping, task_status: trio.TaskStatus[None]) -> None:
        """Run one life of the handler of a queue."""
        definition = self.app.handlers[name]
        wanted = self.settings.concurrency.get(name, definition.concurrency)
        handler = QueueHandler(evolve(definition, concurrency=wanted), self.tools)
        self.handlers[name] = handler
        await handler.run(stopping=stopping, task_status=task_status)
