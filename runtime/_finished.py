"""What waits for a commit: a finished turn, or a message somebody sends from outside."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import trio
from attrs import define, frozen

from rolebook.actors import RolebookError

from ._rows import EventRow, Fence, Message, Rare, SendRow


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


@define(eq=False)
class Lineage:
    """One life of an actor in memory. Its turns build on each other, so they fall together."""

    void: bool = False


class NotOwner(RolebookError):
    """The local way of an ask is closed: this process no longer owns the partition."""


class Repeated(RolebookError):
    """The first outcome of an idempotency key is stored: the asker reads it there."""


class Promise:
    """A reply that somebody waits for. The first answer counts."""

    __slots__ = ("_error", "_event", "_value", "given_up")

    def __init__(self) -> None:
        self._event = trio.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self.given_up = False
        """The asker was cancelled, or has its answer: a turn that has not begun need not begin."""

    def answer(self, value: object) -> None:
        """Give the reply."""
        if not self._event.is_set():
            self._value = value
            self._event.set()

    def fail(self, error: BaseException) -> None:
        """Give an error as the reply."""
        if not self._event.is_set():
            self._error = error
            self._event.set()

    async def wait(self) -> Any:
        """Wait for the reply; raise it if it is an error.

        Cancellation: the turn then either never begins or runs and commits whole.
        """
        try:
            await self._event.wait()
        except trio.Cancelled:
            self.given_up = True
            raise
        if self._error is not None:
            raise self._error
        return self._value


@define(eq=False)
class Totals:
    """What a runtime has committed: transactions, turns and sends in them, and events."""

    commits: int = 0
    turns: int = 0
    events: int = 0


@define(eq=False)
class Finished:
    """One unit of commit.

    Attributes:
        origin: Where the verdict is sent, as `Settled`; nobody listening is no error.
        fence: The right under which it was computed; None for a plain send.
        consumed: The message to delete. A retry or a dead letter names its message in `rare` instead.
        lineage: The life of the actor it was computed in.
        promise: Who waits for `reply`; or for `error`, a business refusal.
        subject: What the verdict is about, for the origin's own use.
        settled: Its verdict was given.
    """

    origin: trio.MemorySendChannel[Any]
    fence: Fence | None = None
    consumed: Message | None = None
    events: Sequence[EventRow] = ()
    sends: Sequence[SendRow] = ()
    rare: Sequence[Rare] = ()
    lineage: Lineage | None = None
    promise: Promise | None = None
    reply: Any = None
    error: BaseException | None = None
    subject: Any = None
    settled: bool = False


@frozen
class Settled:
    """The verdict on some finished turns of one origin, in the order they were handed in."""

    verdict: Verdict
    turns: Sequence[Finished]
    error: Exception | None = None
