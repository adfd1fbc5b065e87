"""What a store answers to who looks after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import final

from attrs import frozen


@final
@frozen
class DeadLetter:
    """A message that was given up, as it was, with the error that ended it."""

    id: int
    message_id: int
    queue: str
    key: str | None
    type: str
    version: int
    payload: str
    headers: str | None
    attempts: int
    error: str
    sent_at: datetime
    died_at: datetime


@final
@frozen
class Promoted:
    """What was due: the queues that got messages, and the seconds until more are due."""

    queues: Sequence[str]
    next_due: float | None
