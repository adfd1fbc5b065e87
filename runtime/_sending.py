"""From an effect to the row that stores it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from understudy.actors import App, EffectError, Encoded, Enqueue, PayloadTooLarge, Tell

from ._headers import Trail, around
from ._partition import partition_of
from ._rows import Rare, SendRow

_NOTHING: Mapping[str, str] = {}


class Sender:
    """Turns effects into rows for one app and one store."""

    def __init__(self, app: App, partitions: int, payload_limit: int) -> None:
        self._codec = app.codec
        self._partitions = partitions
        self._limit = payload_limit

    def rows(
        self, effects: Iterable[Tell | Enqueue], trail: Trail | None, ours: Mapping[str, str] = _NOTHING
    ) -> tuple[list[SendRow], Sequence[Rare]]:
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
        later: list[Rare] = []
        for effect in effects:
            row = self._row(effect, trail, ours)
            if effect.delay is None and effect.at is None:
                now.append(row)
            else:
                later.append(_scheduled(effect, row))
        return now, later

    def _row(self, effect: Tell | Enqueue, trail: Trail | None, ours: Mapping[str, str]) -> SendRow:
        if type(effect) is not Tell and type(effect) is not Enqueue:
            raise EffectError(f"{effect!r:.80} is no message; send Tell(...) or Enqueue(...)")
        name, version, payload = self.encoded(self._codec.encode_command(effect.command))
        headers: str | None
        if effect.headers or ours:
            headers = around(effect.headers, ours) if trail is None else trail.around(effect.headers)
        else:
            headers = None if trail is None else trail.headers
        partition = partition_of(effect.key, self._partitions)
        return SendRow(effect.queue, partition, effect.priority, effect.key, name, version, payload, headers)

    def encoded(self, encoded: Encoded) -> Encoded:
        """Check the size of what was encoded."""
        # A character has at most four bytes: only a text that may be too long is counted.
        if len(encoded.payload) * 4 > self._limit:
            size = len(encoded.payload.encode())
            if size > self._limit:
                raise PayloadTooLarge(encoded.name, size, self._limit)
        return encoded


def _scheduled(effect: Tell | Enqueue, row: SendRow) -> Rare:
    at = None if effect.at is None else effect.at.isoformat()
    return Rare("scheduled", {**row._asdict(), "delay": effect.delay_seconds, "at": at})
