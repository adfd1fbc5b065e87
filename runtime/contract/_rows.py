"""The values that cross between the runtime and its store.

They are made once or more per message, so they are named tuples and plain
slotted classes: an attrs-frozen class costs a microsecond to make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, final

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ._cursor import Snapshot
    from ._server import ServerForgot
    from ._trials import Trial


@final
class Fence(NamedTuple):
    """The right to handle one partition.

    It is valid while the partition is at this epoch, and the session of this number lives that took it. The
    number proves where a commit runs: a server that forgot the session has never heard of it.
    """

    queue: str
    partition: int
    epoch: int
    nonce: int


Ring: TypeAlias = tuple[str, int]
"""A queue and a partition of it, whose owner is woken."""


@final
class Taken(NamedTuple):
    """A partition that was taken.

    Attributes:
        careful: What was visible when its owner died, if it did: it is begun with care; None otherwise.
    """

    fence: Fence
    careful: Snapshot | None


@final
class Place(NamedTuple):
    """The primary key of the mailbox: which message is meant."""

    queue: str
    priority: int
    tx: int
    id: int


@final
class FetchedRow(NamedTuple):
    """One message as a fetch finds it.

    Attributes:
        wait: Seconds until it may be tried again; None when it may be tried now.
        sent: When it was sent, in seconds since the epoch.
    """

    id: int
    tx: int
    partition: int
    key: str | None
    type: str
    version: int
    payload: str
    headers: str | None
    attempts: int
    wait: float | None
    sent: float


@final
@define(eq=False)
class Message:
    """A message as the mailbox holds it.

    Attributes:
        wait: Seconds until it may be tried again; None when it may be tried now.
        sent: When it was sent, in seconds since the epoch.
        fence: The right under which this process handles it.
        counted: Whether it takes up room of its handler; what a blocked key holds does not.
        trial: Under which it is begun, after a process died that may have had it in work.
        size: Bytes of memory that its texts take, if it may be large; 0 if it has 2 kB at most.
        refusal: With what the database refused what became of it; None once that was dealt with.
        refusals: How many times in a row that was, whatever was tried instead.
        failure: With what its turn failed in the first place, while that is being stored.
    """

    id: int
    tx: int
    queue: str
    partition: int
    priority: int
    key: str | None
    type: str
    version: int
    payload: str
    headers: str | None
    attempts: int
    wait: float | None
    sent: float
    fence: Fence
    counted: bool = True
    trial: Trial | None = None
    size: int = 0
    refusal: Exception | None = None
    refusals: int = 0
    failure: Exception | None = None

    @property
    def place(self) -> Place:
        """Its primary key."""
        return Place(self.queue, self.priority, self.tx, self.id)

    @property
    def lasting_id(self) -> str:
        """Names it for ever, also to those outside who remember what this server forgets.

        A server that forgets the last of its messages gives their numbers to others, which are sent later.
        """
        return f"{self.id}-{round(self.sent * 1_000_000):x}"


@final
class EventRow(NamedTuple):
    """One event to append to the journal."""

    actor: str
    key: str
    seq: int
    type: str
    version: int
    payload: str
    metadata: str


@final
class SendRow(NamedTuple):
    """One message to put into a mailbox now."""

    queue: str
    partition: int
    priority: int
    key: str | None
    type: str
    version: int
    payload: str
    headers: str | None


StoredEvent: TypeAlias = tuple[int, str, int, str]
"""One event as the journal holds it: sequence number, type, version, payload. A row as it was read, so that a
replay makes nothing else of it."""


@final
@frozen
class StoredSnapshot:
    """A cached state: the fold of the events up to `seq`."""

    seq: int
    version: int
    state: str


@final
@frozen
class Stream:
    """What the journal holds of one actor after some sequence number.

    Attributes:
        newest: The journal's last sequence number, 0 for an actor without events.
        events: In order, starting after the snapshot, if there is one. There are more
            pages as long as they do not reach `newest`.
        cut: There was no room for the rest in bytes; not even for one event, perhaps.
    """

    newest: int
    snapshot: StoredSnapshot | None
    events: Sequence[StoredEvent]
    cut: bool = False


@final
@frozen
class RecordedEvent:
    """An event as the journal keeps it, not decoded."""

    seq: int
    type: str
    version: int
    payload: str
    metadata: str | None
    recorded_at: datetime


@final
@frozen
class EventPage:
    """Events of one journal, in order.

    Attributes:
        more: Whether there may be more behind them.
    """

    events: Sequence[RecordedEvent]
    more: bool


@final
@frozen
class Committed:
    """The batch is durable."""


@final
@frozen
class Conflict:
    """Nothing of the batch is stored: another process handled part of it, or this is not its server.

    Attributes:
        elsewhere: The session that the batch stands on does not live where this commit ran.
        stale: The fences that are no longer current, as (queue, partition).
        missing: Ids of messages that were no longer there.
        repeated: Ids of outcomes that are stored already: what they answer was asked before.
    """

    elsewhere: bool = False
    stale: frozenset[tuple[str, int]] = field(factory=frozenset[tuple[str, int]])
    missing: frozenset[int] = field(factory=frozenset[int])
    repeated: frozenset[str] = field(factory=frozenset[str])


@final
@frozen
class BadData:
    """Nothing of the batch is stored: the database refuses a value in it."""

    error: Exception


@final
@frozen
class Outdated:
    """Nothing of the batch is stored: the journal is not as one of its turns supposed.

    An event is there that it wanted to store, or the one before it is not. That is no fault of its message.
    """


@final
@frozen
class Forgotten:
    """Nothing of the batch is stored: the server has forgotten commits that it had acknowledged."""

    error: ServerForgot


@final
@frozen
class TimedOut:
    """Nothing of the batch is stored: there was no answer in time. A smaller one may be answered sooner."""

    error: Exception


CommitResult: TypeAlias = Committed | Conflict | BadData | Outdated | Forgotten | TimedOut
