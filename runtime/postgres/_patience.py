"""How long the way back to rest may take."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from typing import Final, final

import attrs
import trio

from ..contract import Ending

SETTLE_SECONDS: Final = 3.0
"""How long a connection may hold up a cancelled task, unless its `patience` says otherwise."""

# When the clean-up that the task is in must be over. Of the task: several may clean up one connection.
_deadline: ContextVar[float] = ContextVar("deadline", default=inf)


@final
@attrs.define(eq=False)
class Patience:
    """The time that one connection has to come to rest when its task is cancelled.

    Attributes:
        seconds: what one clean-up may take. A clean-up inside another shares the time of the outer one.
        ending: of the runtime: its deadline cuts short what a clean-up may take.
    """

    seconds: float = SETTLE_SECONDS
    ending: Ending | None = None

    @contextmanager
    def shield(self) -> Generator[None]:
        """Shield a block from cancellation while there is patience; then cancel it and go on after it."""
        before = _deadline.get()
        ending = inf if self.ending is None else self.ending.settle_until
        deadline = min(before, ending, trio.current_time() + self.seconds)
        _deadline.set(deadline)
        try:
            with trio.CancelScope(shield=True, deadline=deadline):
                yield
        finally:
            _deadline.set(before)
