"""A reply that somebody waits for."""

from __future__ import annotations

from typing import Any, final

import trio

from rolebook.actors import RolebookError


@final
class NotOwner(RolebookError):
    """The local way of an ask is closed: this process no longer owns the partition."""


@final
class Repeated(RolebookError):
    """The first outcome of an idempotency key is stored: the asker reads it there."""


@final
class Promise:
    """A reply that somebody waits for. The first answer counts."""

    __slots__ = ("_error", "_event", "_value", "given_up")

    def __init__(self) -> None:
        self._event = trio.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self.given_up: bool = False
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
