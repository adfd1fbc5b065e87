"""How a failed turn is stored: as a retry in place, a retry as a new arrival, or a dead letter."""

from __future__ import annotations

from typing import final

from rolebook.actors import RolebookError

from ..contract import Bury, Message, RetryAsNew, RetryInPlace, broken_error, report_of


@final
class TurnExited(RolebookError):
    """A handler or a decider, or something it called, wanted to end the process: that fails its turn only."""

    def __init__(self, code: object) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return (
            f"the turn called sys.exit({self.code!r}), which ends no process here; let it raise what is wrong"
        )


@final
class ActorUnavailable(RolebookError):
    """The actor cannot handle anything now: it is broken, its journal cannot be replayed."""


def retry_in_place(message: Message, error: BaseException, delay: float | None) -> RetryInPlace:
    """Return the part that lets a message wait at the head of its key; for None until it is resumed."""
    return RetryInPlace(message.place, message.attempts + 1, report_of(error), delay)


def mark_broken(message: Message, problem: BaseException) -> RetryInPlace:
    """Return the part that says at an actor's first message that it is broken; no attempt is counted."""
    return RetryInPlace(message.place, message.attempts, broken_error(problem), None)


def retry_as_new(message: Message, error: BaseException, delay: float) -> RetryAsNew:
    """Return the part that lets a message come back as a new arrival."""
    return RetryAsNew(message.place, message.attempts + 1, report_of(error), delay)


def bury(message: Message, error: BaseException) -> Bury:
    """Return the part that makes a message a dead letter."""
    return Bury(message.place, message.attempts + 1, report_of(error))


def cause(error: BaseException) -> BaseException | None:
    """Return an error whose traceback is worth logging: user code's; our own errors say what to do."""
    return None if isinstance(error, RolebookError) else error


def name_of(message: Message) -> str:
    """Return how the log names a message."""
    key = "" if message.key is None else f"/{message.key}"
    return f"message {message.id} ({message.type} to {message.queue}{key}, attempt {message.attempts + 1})"
