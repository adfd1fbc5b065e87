"""From an effect to the row that stores it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import final

from rolebook.actors import App, EffectError, Encoded, Enqueue, PayloadTooLarge, Tell

from ._commit_parts import CommitPart, SendLater
from ._commit_unit import bytes_of
from ._headers import Trail, around
from ._partition import partition_of
from ._rows import SendRow

_NOTHING: Mapping[str, str] = {}

SMALL = 2000
"""Characters of a payload whose bytes are not counted: there are so few that their number is bound enough."""


@final
class SendEncoder:
    """Turns effects into rows for one app and one store.

    Attributes:
        size: Bytes of what was encoded and is not small, until somebody takes note of them.
    """

    def __init__(self, app: App, partitions: int, payload_limit: int) -> None:
        self._codec = app.codec
        self._partitions = partitions
        self._taken: dict[str, tuple[type, ...]] = {
            **{name: tuple(actor.deciders) for name, actor in app.actors.items()},
            **{queue: handler.commands for queue, handler in app.handlers.items()},
        }
        self._actors = frozenset(app.actors)
        self._sure = {(queue, command) for queue, commands in self._taken.items() for command in commands}
        self._limit = payload_limit
        # A character has at most four bytes: only a text that may be too long is counted.
        self._surely_fits = min(SMALL, payload_limit // 4)
        self.size: int = 0

    def rows(
        self, effects: Iterable[Tell | Enqueue], trail: Trail | None, ours: Mapping[str, str] = _NOTHING
    ) -> tuple[list[SendRow], Sequence[CommitPart]]:
        """Return the rows of messages to send now, and the parts for messages to send later.

        Args:
            effects: What to send.
            trail: What caused it; None for a send from outside.
            ours: The runtime's own headers of a send from outside.

        Raises:
            EffectError: One of them is no message, or one that its actor or queue does not take.
            PayloadTooLarge: One of them is over the limit.
            Unencodable: One of them cannot be stored so that it comes back as it was.
        """
        now: list[SendRow] = []
        later: list[CommitPart] = []
        self.put(effects, trail, now, later, ours)
        return now, later

    def put(
        self,
        effects: Iterable[Tell | Enqueue],
        trail: Trail | None,
        now: list[SendRow],
        later: list[CommitPart],
        ours: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Add the rows of messages to send now and the parts for those to send later; see `rows`."""
        usual = None if trail is None else trail.headers
        for effect in effects:
            if type(effect) is not Tell and type(effect) is not Enqueue:
                raise EffectError(f"{effect!r:.80} is no message; send Tell(...) or Enqueue(...)")
            queue, kind = effect.queue, type(effect.command)
            if (queue, kind) not in self._sure:
                self._check_taken(queue, kind)
            name, version, write = self._codec.command_writer(kind)
            payload = write(effect.command)
            if len(payload) > self._surely_fits:
                self._check(name, payload)
            key, headers = effect.key, usual
            if effect.headers or ours:
                headers = around(effect.headers, ours) if trail is None else trail.around(effect.headers)
            partition = partition_of(key, self._partitions)
            row = SendRow(queue, partition, effect.priority, key, name, version, payload, headers)
            if effect.at is None and (effect.delay is None or not effect.delay_seconds):
                now.append(row)
            else:
                at = None if effect.at is None else effect.at.isoformat()
                later.append(SendLater(row, effect.delay_seconds, at))

    def _check_taken(self, queue: str, kind: type) -> None:
        """Refuse what an actor or a queue of this app does not take; of others nothing is known."""
        taken = self._taken.get(queue)
        if taken is None or (queue not in self._actors and issubclass(kind, taken)):
            return
        known = ", ".join(sorted(each.__qualname__ for each in taken)) or "nothing"
        if queue in self._actors:
            problem = f"actor {queue!r} has no @decide for {kind.__qualname__}; it decides {known}"
        else:
            problem = f"the handler of queue {queue!r} takes {known}, not {kind.__qualname__}"
        raise EffectError(problem)

    def encoded(self, encoded: Encoded) -> Encoded:
        """Check the size of what was encoded."""
        if len(encoded.payload) > self._surely_fits:
            self._check(encoded.name, encoded.payload)
        return encoded

    def take_size(self) -> int:
        """Return how many bytes were encoded since the last time."""
        size, self.size = self.size, 0
        return size

    def _check(self, name: str, payload: str) -> None:
        size = bytes_of(payload)
        if size > self._limit:
            raise PayloadTooLarge(name, size, self._limit)
        self.size += size
