"""A turn, as user code sees it: which message this is, and the only clock and dice it may use."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from random import Random
from typing import Any, TypeVar

import attrs
import trio

from ._effects import Enqueue, Tell
from ._errors import EffectError

R = TypeVar("R")


@attrs.define(eq=False)
class DecideTurn:
    """What a decider may know of its turn, as an optional second parameter.

    Attributes:
        queue: The name of the queue, which for an actor is the actor's name.
        key: The actor's key; for a queue the message's, or None.
        message_id: Names this message for ever: the idempotency key for effects outside the database.
        now: When the turn began, in UTC. Use it in place of a clock.
        attempt: 1 for the first, 2 for the first retry, …
        headers: What travelled with the message.
    """

    queue: str
    key: str
    message_id: str
    now: datetime
    attempt: int = 1
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    _random: Random | None = attrs.field(default=None, init=False, repr=False)

    @property
    def actor(self) -> str:
        """The name of the actor, which is the name of its queue."""
        return self.queue

    @property
    def random(self) -> Random:
        """Dice seeded from the message: a retry of the same message throws the same numbers."""
        if self._random is None:
            self._random = Random(self.message_id)  # noqa: S311  # reproducible on purpose, not a secret
        return self._random


@attrs.define(eq=False)
class Turn(DecideTurn):
    """What a queue handler gets as its second parameter.

    The runtime provides the methods; they commit together with the acknowledgement of the message.
    """

    def send(self, *effects: Tell | Enqueue) -> None:
        """Send messages when this turn commits; not at all if it fails.

        Args:
            effects: `Tell` and `Enqueue` values, in order.
        """
        raise EffectError("this turn cannot send; a decider yields its effects instead")

    @property
    def client(self) -> Any:
        """The client of the runtime that runs this handler: it asks, reads, and lists.

        What is sent with it is committed at once, and stays if the turn fails: what belongs to the turn goes
        through `send`.
        """
        raise EffectError("this turn has no client; a decider yields its effects instead")

    async def run_sync(self, function: Callable[..., R], *arguments: Any) -> R:
        """Run a function that blocks in a thread, so that the loop goes on, and return its result.

        Nothing of the turn commits before the function has ended, and a cancelled turn waits for it: it
        cannot be interrupted. It is given nothing of the turn, and calls nothing of Trio.

        Args:
            function: What to run.
            arguments: For the function.

        Raises:
            BaseException: Whatever the function raised.

        Example:
            ```python
            page = await turn.run_sync(render, command.order)
            ```
        """
        return await trio.to_thread.run_sync(function, *arguments)

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction that ends with this turn: SQL, sends and acknowledgement commit together.

        Returns:
            An async context manager that gives a psycopg connection.
        """
        raise EffectError("this turn has no connection; a decider does no I/O")
