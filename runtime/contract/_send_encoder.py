"""From an effect to the row that stores it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import final

from rolebook.actors import App, EffectError, Encoded, Enqueue, PayloadTooLarge, Tell

from ._commit_parts import CommitPart, SendLater
from ._headers import Trail, around
from ._partition import partition_of
from ._rows import SendRow

_NOTHING: Mapping[str, str] = {}


@final
class SendEncoder:
    """Turns effects into rows for one app and one store."""

    def __init__(self, app: App, partitions: int, payload_limit: int) -> None:
        self._codec = app.codec
        self._partitions = partitions
        self._limit = payload_limit
        # A character has at most four bytes: only a text that may be too long is counted.
        self._surely_fits = payload_limit // 4

    def rows(
        self, effects: Iterable[Tell | Enqueue], trail: Trail | None, ours: Mapping[str, str] = _NOTHING
    ) -> tuple[list[SendRow], Sequence[CommitPart]]:
        """Return the rows of messages to send now, and the parts for messages to send later.

        Args:
            effects: What to send.
            trail: What caused it; None for a send from outside.
            ours: The runtime's own headers of a send from outside.

        Raises:
            EffectError: One of them is no message.
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
            name, version, write = self._codec.command_writer(type(effect.command))
            payload = write(effect.command)
            if len(payload) > self._surely_fits:
                self._check(name, payload)
            key, headers = effect.key, usual
            if effect.headers or ours:
                headers = around(effect.headers, ours) if trail is None else trail.around(effect.headers)
            partition = partition_of(key, self._partitions)
            row = SendRow(effect.queue, partition, effect.priority, key, name, version, payload, headers)
            if effect.at is None and (effect.delay is None or not effect.delay_seconds):
                now.append(row)
            else:
                at = None if effect.at is None else effect.at.isoformat()
                later.append(SendLater(row, effect.delay_seconds, at))

    def encoded(self, encoded: Encoded) -> Encoded:
        """Check the size of what was encoded."""
        if len(encoded.payload) > self._surely_fits:
            self._check(encoded.name, encoded.payload)
        return encoded

    def _check(self, name: str, payload: str) -> None:
        size = len(payload.encode())
        if size > self._limit:
            raise PayloadTooLarge(name, size, self._limit)
