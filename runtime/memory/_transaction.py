"""A transaction: what is written in it is checked and appears when it commits, all at once or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import msgspec
from attrs import define, field

from rolebook.actors import RolebookError

from ..contract import (
    CommitPart,
    CommitResult,
    Committed,
    CommitUnit,
    Conflict,
    EventRow,
    Fence,
    MessagePart,
    Outdated,
    Ring,
    SendRow,
    StoreFirstOutcome,
    bases,
)
from ._commit_parts import columns, hints, perform
from ._mailbox import Stored
from ._tables import Tables, moment


@final
class Unstorable(RolebookError):
    """A value that the database would refuse."""


@final
class TransactionOver(RolebookError):
    """The transaction was used after it had committed or rolled back."""


@final
@define(eq=False)
class MemoryTransaction:
    """An open transaction of the in-memory store.

    It can be given wherever a psycopg connection can, as `connection=`. What is
    sent in it has its transaction id from then on, and is seen from its commit on.
    """

    _tables: Tables
    nonce: int | None = None
    """The number of the session that it stands on, if it stands on one."""
    _tx: int | None = None
    _over: bool = False
    _sends: list[Stored] = field(factory=list[Stored])
    _events: list[EventRow] = field(factory=list[EventRow])
    _parts: list[CommitPart] = field(factory=list[CommitPart])
    _units: list[CommitUnit] = field(factory=list[CommitUnit])
    _rings: list[Ring] = field(factory=list[Ring])

    @property
    def is_over(self) -> bool:
        """Whether it was committed or rolled back."""
        return self._over

    def send(self, sends: Sequence[SendRow], parts: Sequence[CommitPart], rings: Sequence[Ring]) -> None:
        """Add messages.

        Raises:
            Unstorable: One of them cannot be stored.
            TransactionOver: It has ended.
        """
        if self._over:
            raise TransactionOver("this transaction has ended: send inside its block")
        for row in (*(send._asdict() for send in sends), *map(columns, parts)):
            _check_row(row)
        if self._tx is None:
            self._tx = self._tables.begin()
        now = self._tables.time.now()
        self._sends += [
            Stored(next(self._tables.message_ids), self._tx, *send, sent_at=now) for send in sends
        ]
        self._parts += parts
        self._rings += rings

    def finish(self, units: Sequence[CommitUnit]) -> None:
        """Add units of commit.

        Raises:
            Unstorable: One of their values cannot be stored.
            TransactionOver: It has ended.
        """
        for unit in units:
            self.send(unit.sends, unit.parts, ())
            for event in unit.events:
                _check_text(event.actor, event.key, event.type)
                _check_json(event.payload, event.metadata)
            self._events += unit.events
        self._units += units

    def commit(self) -> CommitResult:
        """Store everything, or nothing and say why."""
        if self._over:
            raise TransactionOver("this transaction has ended already")
        failure = self._check()
        if failure is None:
            self._apply()
        self.roll_back()
        if failure is None:
            self._tables.ring_owners(self._rings)
            self._tables.bell.ring(hints(self._parts, self._tables.time.now()))
        return failure or Committed()

    def roll_back(self) -> None:
        """Forget what is not committed; harmless after a commit."""
        self._over = True
        if self._tx is not None:
            self._tables.end(self._tx)

    # The checks of PostgreSQL's `commit_batch`, in its order.

    def _check(self) -> CommitResult | None:
        if self.nonce is not None and self.nonce not in self._tables.sessions:
            return Conflict(elsewhere=True)
        return self._check_rows()

    def _check_rows(self) -> CommitResult | None:
        if stale := frozenset(fence[:2] for fence in self._fences() if not self._is_current(fence)):
            return Conflict(stale=stale)
        find = self._tables.mailbox.find
        consumed = [unit.consumed for unit in self._units if unit.consumed is not None]
        if missing := [message.id for message in consumed if find(message.place) is None]:
            return Conflict(missing=frozenset(missing))
        if self._is_outdated():
            return Outdated()
        named = [part.place for part in self._parts if isinstance(part, MessagePart)]
        if missing := [place.id for place in named if find(place) is None]:
            return Conflict(missing=frozenset(missing))
        first = [part.id for part in self._parts if isinstance(part, StoreFirstOutcome)]
        if repeated := [id_ for id_ in first if self._is_answered(id_)]:
            return Conflict(repeated=frozenset(repeated))
        return None

    def _is_answered(self, id_: str) -> bool:
        """Whether an idempotency key has an outcome that has not expired."""
        _, expires_at = self._tables.outcomes.get(id_, ("", 0.0))
        return expires_at > self._tables.time.now()

    def _fences(self) -> set[Fence]:
        return {unit.fence for unit in self._units if unit.fence is not None}

    def _is_current(self, fence: Fence) -> bool:
        ownership = self._tables.owners.get((fence.queue, fence.partition))
        return ownership is not None and (ownership.epoch, ownership.nonce) == (fence.epoch, fence.nonce)

    def _is_outdated(self) -> bool:
        """Whether an event has its place taken, or the first of a lineage has no predecessor."""
        journal = self._tables.journal
        if any(base.seq and not journal.has(*base) for base in bases(self._units)):
            return True
        places = {event[:3] for event in self._events}
        return len(places) < len(self._events) or any(journal.has(*place) for place in places)

    def _apply(self) -> None:
        tables = self._tables
        recorded_at = moment(tables.time.now())
        for unit in self._units:
            if unit.consumed is not None:
                tables.mailbox.take(unit.consumed.place)
        for base in bases(self._units):
            tables.journal.forget_snapshots_after(base)
        for event in self._events:
            tables.journal.append(event, recorded_at)
        for message in self._sends:
            tables.mailbox.add(message)
        for part in self._parts:
            perform(tables, part)


def _check_row(row: Mapping[str, Any]) -> None:
    _check_text(*(row.get(name) for name in ("queue", "key", "type", "error")))
    _check_json(*(row.get(name) for name in ("payload", "headers", "state", "outcome")))
    if not -1 <= (priority := row.get("priority", 0)) <= 1:
        raise Unstorable(f"priority {priority} of {row.get('type')} is none of -1, 0 and 1")


def _check_text(*texts: str | None) -> None:
    """A text column takes neither NUL nor half of a surrogate pair."""
    for text in texts:
        if text is not None and ("\0" in text or any("\ud800" <= char <= "\udfff" for char in text)):
            raise Unstorable(f"{text[:80]!r} cannot be stored as text")


def _check_json(*texts: str | None) -> None:
    for text in texts:
        if text is not None:
            try:
                msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                raise Unstorable(f"{text[:80]!r} is not JSON: {error}") from error
