"""What a client works with while it is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import final

import trio
from attrs import define, field, frozen

from rolebook.actors import App

from .._settings import Settings
from ..contract import Store
from ..system import CommitQueue, FetcherSignal, HandlerSignal, SendCount, Standing, Writer


@final
@define(eq=False)
class Replies:
    """Wakes those who wait for a reply through the database.

    Attributes:
        arrived: Set when replies may have arrived; then there is another.
        over: Why nobody will hear of any more.
    """

    arrived: trio.Event = field(factory=trio.Event)
    over: Exception | None = None

    def wake(self) -> None:
        """Let those who wait look for their reply."""
        self.arrived.set()
        self.arrived = trio.Event()

    def end(self, error: Exception) -> None:
        """No reply is waited for any more: tell those who do."""
        self.over = error
        self.wake()


@final
@frozen
class ClientContext:
    """What a client works with while it is open.

    Attributes:
        process: This process's name in the database.
        outbox: To the writer.
        writer: Commits what is sent, and says when it has committed.
        inboxes: Where to hand a command for an actor that this process serves, by the actor's name; any other
            command goes through the mailbox.
        fetcher: Where to say that messages were sent.
        count: How often this process has sent to each queue.
        replies: Where replies through the database are announced.
        workers: The tasks of this process that run handlers of queues.
        on_resumed: Called with the queue of a key that was resumed from here.
        standing: The session that commits stand on, and whether a server forgot.
    """

    app: App
    store: Store
    settings: Settings
    process: str
    outbox: CommitQueue
    writer: Writer
    inboxes: Mapping[str, trio.MemorySendChannel[HandlerSignal]]
    fetcher: trio.MemorySendChannel[FetcherSignal]
    count: SendCount
    replies: Replies
    workers: AbstractSet[trio.lowlevel.Task]
    on_resumed: Callable[[str], None]
    standing: Standing


def is_within(tasks: AbstractSet[trio.lowlevel.Task]) -> bool:
    """Say whether the current task is one of these, or was begun in a nursery of one."""
    task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
    while task is not None and task not in tasks:
        task = None if task.parent_nursery is None else task.parent_nursery.parent_task
    return task is not None
