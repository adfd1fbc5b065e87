"""How long the way back to rest may take."""

from collections.abc import Generator
from contextlib import contextmanager
from math import inf
from typing import Final, final

import attrs
import trio

SETTLE_SECONDS: Final = 3.0
"""How long a connection may hold up a cancelled task, unless its `patience` says otherwise."""


@final
@attrs.define(eq=False)
class Patience:
    """The time that one connection has to come to rest when its task is cancelled.

    Attributes:
        seconds: what one clean-up may take. A clean-up inside another shares the time of the outer one.
    """

    seconds: float = SETTLE_SECONDS
    _deadline: float = attrs.field(default=inf, init=False)

    @contextmanager
    def shield(self) -> Generator[None]:
        """Shield a block from cancellation while there is patience; then cancel it and go on after it."""
        before = self._deadline
        self._deadline = min(before, trio.current_time() + self.seconds)
        try:
            with trio.CancelScope(shield=True, deadline=self._deadline):
                yield
        finally:
            self._deadline = before
