"""What the store holds: the tables, its clock, and which transactions are running."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import final

import trio
from attrs import define, field

from rolebook.actors import Fingerprint

from ..contract import DeadLetter, Ring, Snapshot, Suspect
from ._bell import Bell
from ._journal import Journal
from ._mailbox import Mailbox, Stored

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@final
@define(eq=False)
class Time:
    """The store's clock: Trio's, so that virtual time moves it, with a date put to it at its first use.

    Attributes:
        start: What it says at first; None for the time of the day.
    """

    start: datetime | None
    _offset: float | None = None

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        if self._offset is None:
            start = self.start or datetime.now(UTC)
            self._offset = start.timestamp() - trio.current_time()
        return trio.current_time() + self._offset


def moment(seconds: float) -> datetime:
    """Return a time of the store's clock as a datetime in UTC."""
    return _EPOCH + timedelta(seconds=seconds)


@final
@define(eq=False)
class Ownership:
    """Who may handle a partition: the session that is named, while it lives.

    Attributes:
        nonce: The number of the session; None if the partition was given back.
        life: The number of its process.
        careful: What was visible in it is begun with care: an owner died.
    """

    epoch: int = 0
    nonce: int | None = None
    life: int | None = None
    careful: Snapshot | None = None


@final
@define(eq=False)
class OnTrial:
    """What is in work of a partition whose owner died."""

    ids: Sequence[int]
    lived: float
    began_at: float


@final
@define(eq=False)
class Joined:
    """A process that said what it serves; it is there while its session lives."""

    nonce: int
    process: str
    queues: frozenset[str]


@final
@define(eq=False)
class Buried:
    """A dead letter as it is kept."""

    message: Stored
    letter: DeadLetter


@final
@define(eq=False)
class Tables:
    """The tables of one store.

    Attributes:
        shapes: Of classes, by app, kind, name and version.
        sessions: The numbers of the fetch sessions that live.
        awake: Of these, the ones whose process looks by itself.
        members: By the number of the process, the oldest first.
        trials: By queue, partition, number of the process and level.
        suspects: By message, each with its queue and partition.
        outcomes: Each with its time of expiry, on the store's clock.
        running: The transactions that have written something and have not ended.
        scheduled: A heap of (due at, message id, message).
    """

    partitions: int
    time: Time
    bell: Bell = field(factory=Bell)
    mailbox: Mailbox = field(factory=Mailbox)
    journal: Journal = field(factory=Journal)
    owners: dict[tuple[str, int], Ownership] = field(factory=dict[tuple[str, int], Ownership])
    sessions: set[int] = field(factory=set[int])
    awake: set[int] = field(factory=set[int])
    members: dict[int, Joined] = field(factory=dict[int, Joined])
    trials: dict[tuple[str, int, int, int], OnTrial] = field(factory=dict[tuple[str, int, int, int], OnTrial])
    suspects: dict[int, tuple[str, int, Suspect]] = field(factory=dict[int, tuple[str, int, Suspect]])
    scheduled: list[tuple[float, int, Stored]] = field(factory=list[tuple[float, int, Stored]])
    dead: dict[int, Buried] = field(factory=dict[int, Buried])
    outcomes: dict[str, tuple[str, float]] = field(factory=dict[str, tuple[str, float]])
    shapes: dict[tuple[str, str, str, int], Fingerprint] = field(
        factory=dict[tuple[str, str, str, int], Fingerprint]
    )
    running: set[int] = field(factory=set[int])
    message_ids: Iterator[int] = field(factory=lambda: count(1))
    letter_ids: Iterator[int] = field(factory=lambda: count(1))
    session_ids: Iterator[int] = field(factory=lambda: count(1))
    _next_tx: int = 1

    def begin(self) -> int:
        """Give a transaction its id; it is invisible until it ends."""
        tx, self._next_tx = self._next_tx, self._next_tx + 1
        self.running.add(tx)
        return tx

    def end(self, tx: int) -> None:
        """Make what a transaction wrote visible; or let it be forgotten, if it wrote nothing."""
        self.running.discard(tx)

    def ring_owners(self, rings: Iterable[Ring]) -> None:
        """Wake the processes that own some partitions and are asleep."""
        owners = [(self.owners.get(ring), ring[0]) for ring in rings]
        self.bell.ring_at(
            (owner.life, queue)
            for owner, queue in owners
            if owner is not None and owner.life is not None and owner.nonce not in self.awake
        )

    def snapshot(self) -> Snapshot:
        """Say which transactions are finished now."""
        return Snapshot(min(self.running, default=self._next_tx), self._next_tx, tuple(sorted(self.running)))
