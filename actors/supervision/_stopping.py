"""The polite request to stop, for children that want to finish what they hold."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import final

import attrs
import trio


@final
@attrs.define(eq=False)
class Stopping:
    """Asks a child to stop, some seconds before it is cancelled.

    A start function that has a parameter named `stopping` is given one.
    When the child is to stop, it is set; the child may then finish its work and return.
    After the child's `shutdown` seconds it is cancelled.
    When the supervisor itself is cancelled, children are cancelled at once, without this request.

    Args:
        seconds: How long who is asked has at most, from the request on, whatever the request says.

    Example:
        >>> async def mailer(*, stopping: Stopping) -> None:
        ...     while not stopping.is_set():
        ...         with stopping.interrupts():
        ...             letter = await letters.receive()
        ...             continue_with(letter)
    """

    seconds: float = attrs.field(default=float("inf"))
    _deadline: float = attrs.field(default=float("inf"), init=False)
    _event: trio.Event = attrs.field(factory=trio.Event, init=False)
    _scopes: set[trio.CancelScope] = attrs.field(factory=set[trio.CancelScope], init=False)

    @property
    def deadline(self) -> float:
        """When the child will be cancelled, on Trio's clock in seconds; infinite while nothing was asked."""
        return self._deadline

    def is_set(self) -> bool:
        """Whether the child was asked to stop."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait until the child is asked to stop."""
        await self._event.wait()

    def set(self, deadline: float = float("inf")) -> None:
        """Ask the child to stop; asking again changes nothing.

        Args:
            deadline: When it will be cancelled, on Trio's clock in seconds.
        """
        if self._event.is_set():
            return
        self._deadline = min(deadline, trio.current_time() + self.seconds)
        self._event.set()
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def interrupts(self) -> Generator[trio.CancelScope, None, None]:
        """Cancel the body of the `with` as soon as the child is asked to stop.

        For the places where a child waits and may well be interrupted, such as the wait for its next message.
        """
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if self._event.is_set():
                    scope.cancel()
                yield scope
            finally:
                self._scopes.discard(scope)
