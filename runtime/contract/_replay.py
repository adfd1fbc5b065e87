"""Replay: many actors rebuilt from their journals at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, final

import trio
from attrs import define, field, frozen

from rolebook.actors import ActorDefinition, Codec, RolebookError, failure_of, fold

from ._error_texts import text_of
from ._rows import StoredEvent, Stream
from ._store import MOST_BYTES, Store

_log = logging.getLogger("rolebook.recovery")

KEYS = 200
"""Actors in one query."""
EVENTS = 10_000
"""Events in one query at most, of all its actors together."""
SLICE = 0.005
"""Seconds of applying events after which other tasks have their turn."""
STEPS = (1, 16, 256)
"""Events between two looks at the clock: at least, at first, and at most. The quicker they are, the more."""
LONG = 1.0
"""Seconds after which a replay says how far it is; then after twice as many, and so on."""


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
    """One actor on its way.

    Attributes:
        rows: The events of the latest read; those from `place` on are to be applied. None if there is
            none that counts.
        newest: The number of the newest event, as of that read.
        cut: Whether there was no room for the rest of them.
        began: When it was begun, on Trio's clock.
        report: After how many seconds it says how far it is.
        step: How many events are applied before the next look at the clock.
    """

    state: Any
    seq: int = 0
    snapshot: int = 0
    rows: Sequence[StoredEvent] | None = None
    place: int = 0
    newest: int = 0
    cut: bool = False
    began: float = 0.0
    report: float = LONG
    step: int = STEPS[1]

    @property
    def has_rows(self) -> bool:
        """Whether there are events to apply."""
        return self.rows is not None and self.place < len(self.rows)

    def read(self, stream: Stream) -> None:
        """Take what was read."""
        self.rows, self.place, self.newest, self.cut = stream.events, 0, stream.newest, stream.cut

    def held(self) -> int:
        """Return how many bytes its events have that are still to be applied."""
        return sum([len(row[3]) for row in self.rows[self.place :]]) if self.rows else 0


@final
@define(eq=False)
class Replay:
    """Rebuilds actors of one kind: a page of many actors in one query, long streams in several.

    It may outlive whoever calls: what was applied is kept when a call is cancelled, and the next goes on
    from there. Journals only grow, so that is as good as new, as long as the session lasts that it stands on:
    a server that another one takes over from may have had more than that.

    Attributes:
        most_bytes: Bytes of events and snapshots that are held at most, beside one that is larger.
        nonce: The number of the session that has to live where it reads; None for whoever only looks.
    """

    definition: ActorDefinition
    codec: Codec
    store: Store
    most_bytes: int = MOST_BYTES
    nonce: int | None = None
    _under_way: dict[str, _Rebuilding] = field(factory=dict[str, _Rebuilding])
    _left_out: frozenset[str] = frozenset()
    _appliers: dict[type, Callable[[Any, Any], object]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._appliers = dict(self.definition.appliers)

    def begin_life(self) -> None:
        """Go on for another handler: other processes may have stored more events meanwhile."""
        for actor in self._under_way.values():
            actor.rows = None

    def stand_on(self, nonce: int) -> None:
        """Read where the session of this number lives; what was read in another is void."""
        if nonce != self.nonce:
            self.nonce = nonce
            self._under_way.clear()

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

        A long journal takes several, and one whose events take long to apply too: who calls can do other
        things in between. Every few milliseconds other tasks have their turn.
        """
        keys = keys[:KEYS]
        self._forget_but(keys)
        await self._read([key for key in keys if not self._has_rows(key)])
        found: dict[str, Replayed] = {}
        # Most actors have a few events: the clock is looked at once for each.
        now = trio.current_time()
        pause = now + SLICE
        for key in keys:
            if (actor := self._under_way.get(key)) is None:
                continue  # there was no room for it
            result, now = self._take(key, actor, now)
            if result is not None:
                found[key] = result
            if now >= pause:
                await trio.lowlevel.checkpoint()
                now = trio.current_time()
                pause = now + SLICE
        for key in found:
            del self._under_way[key]
        return found

    def _forget_but(self, keys: Sequence[str]) -> None:
        """Let go of those that nobody asks for any more; whose partition is another process's, for one."""
        if len(self._under_way) > KEYS:
            self._under_way = {key: self._under_way[key] for key in keys if key in self._under_way}

    def _has_rows(self, key: str) -> bool:
        actor = self._under_way.get(key)
        return actor is not None and actor.has_rows

    async def _read(self, keys: Sequence[str]) -> None:
        if not keys:
            await trio.lowlevel.checkpoint()
            return
        room = self.most_bytes - sum(actor.held() for actor in self._under_way.values())
        if room <= 0:
            await trio.lowlevel.checkpoint()  # first what is there is applied
            return
        # First those that there was no room for: large events of one do not keep the others waiting.
        keys = sorted(keys, key=lambda key: key not in self._left_out) if self._left_out else keys
        after: dict[str, int | None] = {
            key: None if (actor := self._under_way.get(key)) is None else actor.seq for key in keys
        }
        name, version = self.definition.name, self.definition.state_version
        most = EVENTS // len(after)
        streams = await self.store.load(name, version, after, most, room, nonce=self.nonce)
        self._left_out = frozenset(key for key in keys if not _has_got_some(streams.get(key)))
        now = trio.current_time()
        for key, stream in streams.items():
            actor = self._under_way.get(key)
            if actor is None:
                actor = self._under_way[key] = self._begin(key, stream)
                actor.began = now
                if actor.seq == 0 and stream.snapshot is not None:
                    continue  # the snapshot was of no use: read from the first event
            actor.read(stream)

    def _take(self, key: str, actor: _Rebuilding, now: float) -> tuple[Replayed | None, float]:
        """Apply some events to an actor; None if more are to come. The time goes in and comes out."""
        if actor.rows is None:
            return None, now
        try:
            now = self._fold(key, actor, actor.rows, now)
        except BaseException as raised:  # noqa: BLE001 - appliers are user code; one bad stream breaks one actor
            error = failure_of(raised)
            if not actor.snapshot:
                return Replayed(None, 0, 0, error), now
            name, seq = self.definition.name, actor.snapshot
            _log.warning(
                "snapshot of %s/%s at event %d passed over, it does not go with what follows: %s",
                name, key, seq, text_of(error),
            )  # fmt: skip
            self._under_way[key] = _Rebuilding(self.definition.initial(), began=actor.began)
            return None, now
        if actor.seq < actor.newest and (actor.rows or actor.cut):
            if not actor.has_rows:
                actor.rows = None
            self._report(key, actor, now)
            return None, now
        if actor.seq != actor.newest:
            return Replayed(None, 0, 0, _hole(self.definition.name, key, actor.seq + 1)), now
        return Replayed(actor.state, actor.seq, actor.snapshot), now

    def _report(self, key: str, actor: _Rebuilding, now: float) -> None:
        seconds = now - actor.began
        if seconds >= actor.report:
            actor.report *= 2
            _log.info(
                "replaying %s/%s: %d of %d events in %.1f s",
                self.definition.name, key, actor.seq, actor.newest, seconds,
            )  # fmt: skip

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

    def _fold(self, key: str, actor: _Rebuilding, rows: Sequence[StoredEvent], now: float) -> float:
        """Apply what was read, for a few milliseconds; return the time."""
        # `fold` does the same; the loop is written out here because a long replay is little else.
        decode, state, appliers = self.codec.decode_event, actor.state, self._appliers
        pause = now + SLICE
        while actor.place < len(rows):
            step = rows[actor.place : actor.place + actor.step]
            for expected, (seq, type_, version, payload) in enumerate(step, actor.seq + 1):
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
            actor.seq += len(step)
            actor.place += len(step)
            before, now = now, trio.current_time()
            quick = now - before < SLICE / 8
            actor.step = min(actor.step * 2, STEPS[2]) if quick else max(actor.step // 2, STEPS[0])
            if now >= pause:
                break
        return now


def _has_got_some(stream: Stream | None) -> bool:
    return stream is not None and (not stream.cut or bool(stream.events))


def _hole(actor: str, key: str, seq: int) -> BrokenStream:
    return BrokenStream(
        f"the journal of {actor}/{key} has no event {seq}: restore it from a backup; its state is not guessed"
    )
