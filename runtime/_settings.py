"""The numbers of a runtime: every one has a default, a unit and a reason."""

from __future__ import annotations

from typing import final

import attrs
from attrs import frozen, validators

from understudy.actors import Backoff

_positive_seconds = validators.gt(0.0)
_positive_count = validators.gt(0)


@final
@frozen
class Settings:
    """How a runtime behaves.

    Attributes:
        schema: The schema that holds its tables; a plain identifier.
        partitions: How many partitions each queue gets when the database is new.
        poll_interval: Seconds after which the mailbox is looked at even if nobody rang.
        take_interval: Seconds between two tries for partitions that others own.
        health_interval: Seconds between two health checks of the listening session.
        health_deadline: Seconds a health check may take.
        command_deadline: Seconds any other statement may take before its session is given up.
        idle_session_timeout: Seconds after which the server ends the session of a frozen process.
        mailbox_capacity: Messages of one queue held in memory at most.
        blocked_capacity: Messages of one blocked key held in memory at most.
        batch: Turns in one commit at most.
        residents: Actors of one kind kept in memory at most.
        passivate_after: Seconds after which an unused actor leaves memory.
        shutdown: Seconds an orderly end may take before what still runs is cancelled.
        pool_size: Connections for handlers with `turn.connection()`, recovery and reads.
        acquire_timeout: Seconds to wait for one of them.
        backoff: Between two attempts to open the session anew.
    """

    schema: str = "understudy"
    partitions: int = attrs.field(default=32, validator=[validators.ge(1), validators.le(1024)])
    poll_interval: float = attrs.field(default=5.0, validator=_positive_seconds)
    take_interval: float = attrs.field(default=1.0, validator=_positive_seconds)
    health_interval: float = attrs.field(default=10.0, validator=_positive_seconds)
    health_deadline: float = attrs.field(default=5.0, validator=_positive_seconds)
    command_deadline: float = attrs.field(default=30.0, validator=_positive_seconds)
    idle_session_timeout: float = attrs.field(default=30.0, validator=_positive_seconds)
    mailbox_capacity: int = attrs.field(default=2000, validator=_positive_count)
    blocked_capacity: int = attrs.field(default=50, validator=_positive_count)
    batch: int = attrs.field(default=1000, validator=_positive_count)
    residents: int = attrs.field(default=10_000, validator=_positive_count)
    passivate_after: float = attrs.field(default=300.0, validator=_positive_seconds)
    shutdown: float = attrs.field(default=10.0, validator=_positive_seconds)
    pool_size: int = attrs.field(default=4, validator=_positive_count)
    acquire_timeout: float = attrs.field(default=5.0, validator=_positive_seconds)
    backoff: Backoff = attrs.field(factory=Backoff)
