"""What a handler of actors says of itself."""

from __future__ import annotations

from typing import final

from attrs import frozen


@final
@frozen
class ActorStatistics:
    """What a process holds of one kind of actor, and has done with it.

    Attributes:
        residents: Actors in memory.
        blocked: Keys that wait for a retry.
        parked: Keys that wait to be resumed, after a failure under `on_failure="park"`.
        broken: Keys whose journal cannot be replayed.
        turns: TurnLedger computed.
        recovered: Actors loaded from the journal.
        hits: Messages and asks that found their actor in memory.
        evictions: Actors that left memory, because there were too many or nobody needed them.
    """

    residents: int
    blocked: int
    parked: int
    broken: int
    turns: int
    recovered: int
    hits: int
    evictions: int
