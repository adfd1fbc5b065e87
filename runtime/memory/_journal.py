"""The events and snapshots of every actor."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import final

from attrs import define, evolve, field

from ..contract import Base, EventPage, EventRow, KeepSnapshot, RecordedEvent, StoredSnapshot, Stream

Name = tuple[str, str]
"""The actor's kind and its key."""


@define(eq=False)
class _Entry:
    seqs: list[int] = field(factory=list[int])
    events: dict[int, RecordedEvent] = field(factory=dict[int, RecordedEvent])
    snapshots: dict[int, StoredSnapshot] = field(factory=dict[int, StoredSnapshot])

    @property
    def newest(self) -> int:
        return self.seqs[-1] if self.seqs else 0

    def after(self, seq: int, most: int) -> list[RecordedEvent]:
        start = bisect_right(self.seqs, seq)
        return [self.events[found] for found in self.seqs[start : start + most]]


@final
@define(eq=False)
class Journal:
    """Append-only: no method changes an event."""

    _entries: dict[Name, _Entry] = field(factory=dict[Name, _Entry])

    def has(self, actor: str, key: str, seq: int) -> bool:
        """Whether a place in a stream is taken."""
        return seq in self._find(actor, key).events

    def forget_snapshots_after(self, base: Base) -> None:
        """Drop the snapshots that are ahead of a stream: what comes in these places is not in them."""
        snapshots = self._find(base.actor, base.key).snapshots
        for seq in [seq for seq in snapshots if seq > base.seq]:
            del snapshots[seq]

    def append(self, event: EventRow, recorded_at: datetime) -> None:
        """Add an event; its place must be free."""
        entry = self._entry(event.actor, event.key)
        insort(entry.seqs, event.seq)
        entry.events[event.seq] = RecordedEvent(
            event.seq, event.type, event.version, event.payload, event.metadata, recorded_at
        )

    def holds(self, type_: str, version: int) -> bool:
        """Whether there is an event of this name and version."""
        return any(
            (event.type, event.version) == (type_, version)
            for entry in self._entries.values()
            for event in entry.events.values()
        )

    def keep(self, part: KeepSnapshot) -> None:
        """Store a snapshot, and only the newest `keep` of its actor."""
        entry = self._entry(part.actor, part.key)
        entry.snapshots[part.seq] = StoredSnapshot(part.seq, part.state_version, part.state)
        for seq in sorted(entry.snapshots, reverse=True)[part.keep :]:
            del entry.snapshots[seq]

    def load(
        self, actor: str, state_version: int, after: Mapping[str, int | None], most: int, most_bytes: int
    ) -> dict[str, Stream]:
        """Return what the store's `load` promises."""
        share, left, is_first = most_bytes // max(1, len(after)), most_bytes, True
        streams: dict[str, Stream] = {}
        for key, seq in after.items():
            stream = self._stream(self._find(actor, key), state_version, seq, most, share)
            sizes = [_size(event[3]) for event in stream.events]
            if stream.snapshot is not None:
                size = _size(stream.snapshot.state)
                if size > left and not is_first:
                    break
                left, is_first = left - size, False
            fit = bisect_right(list(accumulate(sizes)), left)
            fit = max(fit, 1) if is_first else fit
            left, is_first = left - sum(sizes[:fit]), is_first and not sizes
            cut = fit < len(sizes)
            streams[key] = evolve(stream, events=stream.events[:fit], cut=cut)
            if cut:
                break
        return streams

    def keys(self, actor: str, after: str, most: int) -> list[str]:
        """Return one page of the keys that have events, sorted."""
        found = (key for (name, key), entry in self._entries.items() if name == actor and entry.seqs)
        return sorted(key for key in found if key > after)[:most]

    def read(self, actor: str, key: str, after: int, most: int, most_bytes: int) -> EventPage:
        """Return one page of a stream."""
        page = self._find(actor, key).after(after, most)
        fitting = page[: _fitting([event.payload for event in page], most_bytes)]
        return EventPage(fitting, len(page) == most or len(fitting) < len(page))

    def _stream(
        self, entry: _Entry, state_version: int, after: int | None, most: int, most_bytes: int
    ) -> Stream:
        snapshot = None if after is not None else _usable(entry, state_version)
        start = after if after is not None else 0 if snapshot is None else snapshot.seq
        events = [(event.seq, event.type, event.version, event.payload) for event in entry.after(start, most)]
        del events[_fitting([payload for *_, payload in events], most_bytes) :]
        return Stream(entry.newest, snapshot, events)

    def _find(self, actor: str, key: str) -> _Entry:
        return self._entries.get((actor, key)) or _Entry()

    def _entry(self, actor: str, key: str) -> _Entry:
        return self._entries.setdefault((actor, key), _Entry())


def _size(text: str) -> int:
    return len(text.encode())


def _fitting(payloads: Sequence[str], most: int) -> int:
    """Return how many of some payloads have so many bytes at most; one in any case."""
    return max(1, bisect_right(list(accumulate(map(_size, payloads))), most))


def _usable(entry: _Entry, state_version: int) -> StoredSnapshot | None:
    usable = [
        snapshot
        for snapshot in entry.snapshots.values()
        if snapshot.version <= state_version and snapshot.seq <= entry.newest
    ]
    return max(usable, key=lambda snapshot: snapshot.seq, default=None)
