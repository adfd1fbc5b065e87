"""What the work of a process stands on: one session, on one server that remembers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, final

import trio
from attrs import define, field

from rolebook.actors import RolebookError

from ..contract import ServerForgot

_log = logging.getLogger("rolebook")

FORGOTTEN: Final = "the server has forgotten commits that it had acknowledged"
"""Why a session is lost then."""


@final
class SessionLost(RolebookError):
    """The session does not live any more where the others of this process work: all begin anew."""


@final
@define(eq=False)
class Standing:
    """The session that everything which is in memory belongs to.

    Whoever finds out that it is gone says so here, and the store that the server has forgotten. Then whatever
    holds the session is cancelled, and with it all that was computed in it; and after a server forgot, what
    would outlive the session is void too.

    Attributes:
        nonce: The number of the session; None while there is none.
        forgot: What was found the last time that the server had forgotten; None if it never has.
        on_forgotten: What to call then.
    """

    nonce: int | None = None
    forgot: ServerForgot | None = None
    on_forgotten: list[Callable[[ServerForgot], None]] = field(factory=list[Callable[[ServerForgot], None]])
    _scope: trio.CancelScope | None = None
    _why: str = ""

    @contextmanager
    def held(self, nonce: int) -> Generator[None]:
        """Hold the session of this number for the length of a block.

        Raises:
            SessionLost: Somebody found out that it is gone; the block was cancelled.
        """
        with trio.CancelScope() as scope:
            self.nonce, self._scope = nonce, scope
            try:
                yield
            finally:
                self.nonce = self._scope = None
        if scope.cancelled_caught:
            raise SessionLost(self._why)

    def lose(self, nonce: int | None, why: str) -> None:
        """The session of this number is gone; of one that has ended already everybody knows."""
        if nonce is not None and nonce == self.nonce and self._scope is not None:
            self._why = why
            self.nonce = None
            self._scope.cancel()

    def forget(self, error: ServerForgot) -> None:
        """The server has forgotten what it had acknowledged: everything in memory is void."""
        _log.error("%s", error)
        self.forgot = error
        for call in self.on_forgotten:
            call(error)
        self.lose(self.nonce, FORGOTTEN)
