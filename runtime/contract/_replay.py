"""Replay: many actors rebuilt from their journals at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, final

from attrs import define, field, frozen

from rolebook.actors import ActorDefinition, Codec, RolebookError, failure_of, fold

from ._error_texts import text_of
from ._rows import Stream
from ._store import Store

_log = logging.getLogger("rolebook.recovery")

KEYS = 200
"""Actors in one query."""
EVENTS = 10_000
"""Events in one query at most, of all its actors together."""
LONG = 20_000
"""Events after which a replay says how far it is."""


@final
class BrokenStream(RolebookError):
    """A journal that cannot be replayed: it has a hole, or an event that this app cannot read or apply."""


@final
@frozen
class Replayed:
    """An actor as its journal says.

    Attributes:
        seq: The sequence number of its last event.
        snapshot: The sequence number of the snapshot it was built from, 0 if from none.
        problem: Why it could not be rebuilt; the rest means nothing then.
    """

    state: Any
    seq: int
    snapshot: int
    problem: Exception | None = None


@define(eq=False)
class _Rebuilding:
    """One actor on its way."""

    state: Any
    seq: int = 0
    snapshot: int = 0


@final
@define(eq=False)
class Replay:
    """Rebuilds actors of one kind: a page of many actors in one query, long streams in several."""

    definition: ActorDefinition
    codec: Codec
    store: Store
    _under_way: dict[str, _Rebuilding] = field(factory=dict[str, _Rebuilding])

    async def replay(self, keys: Sequence[str]) -> dict[str, Replayed]:
        """Rebuild some actors. One that cannot be is reported, and does not stop the others.

        Cancellation: nothing is changed by a replay, so nothing is half done.
        """
        found: dict[str, Replayed] = {}
        while len(found) < len(keys):
            found |= await self.go_on([key for key in keys if key not in found])
        return found

    async def go_on(self, keys: Sequence[str]) -> dict[str, Replayed]:
        """Read on with some of these actors, by one query, and return those that are done.

        A long journal takes several: who calls can do other things in between.
        """
        after: dict[str, int | None] = {
            key: None if (actor := self._under_way.get(key)) is None else actor.seq for key in keys[:KEYS]
        }
        name, version = self.definition.name, self.definition.state_version
        streams = await self.store.load(name, version, after, EVENTS // len(after))
        found: dict[str, Replayed] = {}
        for key, stream in streams.items():
            result = self._take(key, stream)
            if result is not None:
                found[key] = result
                self._under_way.pop(key, None)
        return found

    def _take(self, key: str, stream: Stream) -> Replayed | None:
        """Fold one page into an actor; None if more is to come."""
        actor = self._under_way.get(key)
        try:
            if actor is None:
                actor = self._under_way[key] = self._begin(key, stream)
                if actor.seq == 0 and stream.snapshot is not None:
                    return None  # the snapshot was of no use: read from the first event
            self._fold(key, actor, stream)
        except BaseException as raised:  # noqa: BLE001 - appliers are user code; one bad stream breaks one actor
            error = failure_of(raised)
            if actor is None or not actor.snapshot:
                return Replayed(None, 0, 0, error)
            name, seq = self.definition.name, actor.snapshot
            _log.warning(
                "snapshot of %s/%s at event %d passed over, it does not go with what follows: %s",
                name, key, seq, text_of(error),
            )  # fmt: skip
            self._under_way[key] = _Rebuilding(self.definition.initial())
            return None
        if actor.seq < stream.newest and stream.events:
            if actor.seq >= LONG:
                _log.info(
                    "replaying %s/%s: %d of %d events", self.definition.name, key, actor.seq, stream.newest
                )
            return None
        if actor.seq != stream.newest:
            return Replayed(None, 0, 0, _hole(self.definition.name, key, actor.seq + 1))
        return Replayed(actor.state, actor.seq, actor.snapshot)

    def _begin(self, key: str, stream: Stream) -> _Rebuilding:
        """Start at the snapshot, if it is of use. It is a cache: if anything is wrong with it, replay."""
        if stream.snapshot is not None:
            try:
                state = self.codec.decode_state(
                    self.definition, stream.snapshot.version, stream.snapshot.state
                )
            except RolebookError as error:
                _log.warning("snapshot of %s/%s passed over: %s", self.definition.name, key, error)
            else:
                return _Rebuilding(state, stream.snapshot.seq, stream.snapshot.seq)
        return _Rebuilding(self.definition.initial())

    def _fold(self, key: str, actor: _Rebuilding, stream: Stream) -> None:
        # `fold` does the same; the loop is written out here because a long replay is little else.
        decode, state, appliers = self.codec.decode_event, actor.state, dict(self.definition.appliers)
        for expected, (seq, type_, version, payload) in enumerate(stream.events, actor.seq + 1):
            if seq != expected:
                raise _hole(self.definition.name, key, expected)
            try:
                event: object = decode(type_, version, payload)
                if (applier := appliers.get(type(event))) is None:
                    fold(self.definition, state, (event,))  # which says what is missing
                else:
                    applier(state, event)
            except BaseException as raised:  # noqa: BLE001 - as above
                error = failure_of(raised)
                where = f"event {seq} of {self.definition.name}/{key} ({type_} v{version})"
                raise BrokenStream(f"{where} cannot be replayed: {text_of(error)}") from error
        actor.seq += len(stream.events)


def _hole(actor: str, key: str, seq: int) -> BrokenStream:
    return BrokenStream(
        f"the journal of {actor}/{key} has no event {seq}: restore it from a backup; its state is not guessed"
    )
