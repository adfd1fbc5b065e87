"""What becomes of a message whose turn failed, and the pure rule that says so."""

from random import Random
from typing import Final, final

import attrs

from ._backoff import Backoff
from ._errors import (
    DecodeError,
    DefinitionError,
    EffectError,
    InvalidKey,
    NewerVersion,
    PayloadTooLarge,
    ProcessEnded,
    Rejected,
    Unencodable,
)
from ._retry import Retry


@final
@attrs.frozen
class RetryAt:
    """The turn failed and is void: the message is tried again.

    Attributes:
        delay_seconds: How long from now.
        error: What it failed with.
    """

    delay_seconds: float
    error: BaseException


@final
@attrs.frozen
class Dead:
    """The turn failed for good: the message becomes a dead letter.

    Attributes:
        error: What it failed with.
    """

    error: BaseException


@final
@attrs.frozen
class Refused:
    """The decider refused: the turn is void, the message is acknowledged, the asker gets the error.

    Attributes:
        rejection: The refusal.
    """

    rejection: Rejected


# The same message fails in the same way until the program changes: to retry only holds up its followers.
_HOPELESS = (
    DecodeError,
    Unencodable,
    EffectError,
    PayloadTooLarge,
    InvalidKey,
    DefinitionError,
    ProcessEnded,
)


NEWER: Final = Retry(attempts=8, backoff=Backoff(first=5.0, factor=2.0, cap=300.0, jitter=0.2))
"""For a message that a newer version of the app wrote: about ten minutes, for a deployment to end."""


def judge(error: BaseException, attempt: int, retry: Retry, random: Random) -> RetryAt | Dead | Refused:
    """Say what becomes of a message whose turn raised `error`. Pure but for the dice.

    Args:
        error: What the turn raised.
        attempt: Which attempt failed; 1 is the first.
        retry: The policy of the actor or queue.
        random: The dice for the jitter.
    """
    if isinstance(error, Rejected):
        return Refused(error)
    if isinstance(error, NewerVersion):
        if attempt < NEWER.attempts:
            return RetryAt(NEWER.backoff.delay(attempt, random), error)
        return Dead(error)
    if isinstance(error, _HOPELESS) or attempt >= retry.attempts:
        return Dead(error)
    return RetryAt(retry.backoff.delay(attempt, random), error)
