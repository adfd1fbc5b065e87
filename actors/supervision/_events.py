"""What a supervisor tells about its work, as it happens."""

from collections import deque
from typing import final

import attrs
import trio


@attrs.frozen
class SupervisionEvent:
    """Something happened to a child or a supervisor.

    Args:
        path: Which one, from the root on: `bank/session/listener`.
        at: When, on Trio's clock in seconds.
    """

    path: str
    at: float


@final
@attrs.frozen
class ChildStarted(SupervisionEvent):
    """A child is ready, for the first time or after a command; `incarnation` counts its starts from 1."""

    incarnation: int


@final
@attrs.frozen
class ChildRestarted(SupervisionEvent):
    """A child is ready again after a restart that the supervisor decided on."""

    incarnation: int


@final
@attrs.frozen
class ChildCrashed(SupervisionEvent):
    """A child failed; `attempt` counts failures in a row, and is 0 for an error during its stop."""

    error: Exception
    attempt: int


@final
@attrs.frozen
class RestartScheduled(SupervisionEvent):
    """What had to be stopped has stopped; `children` will be started again in `delay` seconds."""

    children: tuple[str, ...]
    attempt: int
    delay: float


@final
@attrs.frozen
class ChildFinished(SupervisionEvent):
    """A child that is not permanent returned, and stays down."""


@final
@attrs.frozen
class ChildStopped(SupervisionEvent):
    """A child stopped because it was to stop."""


@final
@attrs.frozen
class ChildParked(SupervisionEvent):
    """A child stays down until it is resumed: its supervisor has used up the restarts."""


@final
@attrs.frozen
class ChildStuck(SupervisionEvent):
    """A child does not end though it was cancelled; `stack` is where it stands."""

    stack: str


@final
@attrs.frozen
class SupervisorGaveUp(SupervisionEvent):
    """A supervisor has used up its restarts, stops its children and fails."""

    reason: str


@final
@attrs.define(eq=False)
class EventStream(trio.abc.ReceiveChannel[SupervisionEvent]):
    """The events of a tree, in order, from the moment the stream was opened until the tree has stopped.

    The supervisor never waits for a listener.
    When `capacity` events are unread, the oldest is dropped and counted in `missed`.
    Close the stream when it is not read to its end: `async with tree.events() as events`.
    """

    _hub: "EventHub"
    _unread: deque[SupervisionEvent]
    missed: int = attrs.field(default=0, init=False)
    _over: bool = attrs.field(default=False, init=False)
    _waiting: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    async def receive(self) -> SupervisionEvent:
        """Return the next event; wait for it if there is none yet.

        Raises:
            trio.EndOfChannel: The tree has stopped, or the stream was closed, and all was read.
        """
        await trio.lowlevel.checkpoint()
        while not self._unread:
            if self._over:
                raise trio.EndOfChannel
            await self._waiting.park()
        return self._unread.popleft()

    async def aclose(self) -> None:
        """Stop listening."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Stop listening."""
        self._hub.forget(self)
        self.end()

    def end(self) -> None:
        """Let nothing more come; what is unread can still be read."""
        self._over = True
        self._waiting.unpark_all()

    def put(self, event: SupervisionEvent) -> None:
        """Add an event."""
        if len(self._unread) == self._unread.maxlen:
            self.missed += 1
        self._unread.append(event)
        self._waiting.unpark()


@attrs.define(eq=False)
class EventHub:
    """Hands each event of a tree to everybody who listens."""

    _streams: list[EventStream] = attrs.field(factory=list[EventStream], init=False)
    _over: bool = attrs.field(default=False, init=False)

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens; if not, events need not be made."""
        return bool(self._streams)

    def open(self, capacity: int) -> EventStream:
        """Open one more stream."""
        stream = EventStream(self, deque(maxlen=capacity))
        if self._over:
            stream.end()
        else:
            self._streams.append(stream)
        return stream

    def forget(self, stream: EventStream) -> None:
        """Give this stream nothing more."""
        if stream in self._streams:
            self._streams.remove(stream)

    def emit(self, event: SupervisionEvent) -> None:
        """Hand out an event."""
        for stream in self._streams:
            stream.put(event)

    def close(self) -> None:
        """End all streams: the tree has stopped."""
        self._over = True
        for stream in self._streams:
            stream.end()
        self._streams.clear()
