"""What waits for a commit: a finished turn, or a message somebody sends from outside."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple, final

import trio
from attrs import define, frozen

from ._commit_parts import CommitPart, text_of_part
from ._promise import Promise
from ._rows import EventRow, Fence, Message, SendRow


class Verdict(Enum):
    """What became of a finished turn."""

    COMMITTED = "committed"
    VOID = "void"
    """An earlier turn it was built on did not commit: compute it again."""
    LOST = "lost"
    """Another process has handled it, or has the right to: forget it."""
    REPEATED = "repeated"
    """Its idempotency key has an outcome already: that is its outcome."""
    FAILED = "failed"
    """The database refuses what it wants to store."""


@final
@define(eq=False)
class Lineage:
    """One life of an actor in memory. Its turns build on each other, so they fall together.

    Attributes:
        void: One of them fell, and with it all that come after it.
        proven: The journal was found to be as the first of them supposed.
    """

    void: bool = False
    proven: bool = False


@final
@define(eq=False)
class Totals:
    """What a runtime has committed: transactions, turns and sends in them, and events."""

    commits: int = 0
    turns: int = 0
    events: int = 0


@final
@define(eq=False)
class CommitUnit:
    """One unit of commit.

    Attributes:
        origin: Where the verdict is sent, as `Settled`; nobody listening is no error.
        fence: The right under which it was computed; None for a plain send.
        consumed: The message to delete. A retry or a dead letter names its message in `parts` instead.
        lineage: The life of the actor it was computed in.
        promise: Who waits for `reply`; or for `error`, a business refusal.
        subject: What the verdict is about, for the origin's own use.
        settled: Its verdict was given.
        size: Bytes that were handed to the writer with it and those behind it.
    """

    origin: trio.MemorySendChannel[Any]
    fence: Fence | None = None
    consumed: Message | None = None
    events: Sequence[EventRow] = ()
    sends: Sequence[SendRow] = ()
    parts: Sequence[CommitPart] = ()
    lineage: Lineage | None = None
    promise: Promise | None = None
    reply: Any = None
    error: BaseException | None = None
    subject: Any = None
    settled: bool = False
    size: int = 0


@final
@frozen
class Settled:
    """The verdict on some finished turns of one origin, in the order they were handed in."""

    verdict: Verdict
    units: Sequence[CommitUnit]
    error: Exception | None = None


def size_of(unit: CommitUnit) -> int:
    """Return how many bytes of payloads a unit stores: of events, messages, snapshots and outcomes."""
    size = 0
    for event in unit.events:
        size += bytes_of(event.payload)
    for send in unit.sends:
        size += bytes_of(send.payload)
    for part in unit.parts:
        size += bytes_of(text_of_part(part))
    return size


def bytes_of(text: str) -> int:
    """Return how many bytes a text has in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


@final
class Base(NamedTuple):
    """What an actor in memory was built on: the number of its last event, 0 if there was none."""

    actor: str
    key: str
    seq: int


def bases(units: Sequence[CommitUnit]) -> list[Base]:
    """Return what the lineages among some units are built on that have not stored an event before."""
    found: list[Base] = []
    seen = set[int]()
    for unit in units:
        lineage = unit.lineage
        if unit.events and lineage is not None and not lineage.proven and id(lineage) not in seen:
            seen.add(id(lineage))
            first = unit.events[0]
            found.append(Base(first.actor, first.key, first.seq - 1))
    return found
