"""What can go wrong with a supervised child, as errors that keep their history."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, final

import trio

from .._errors import RolebookError
from .._failure import failure_of


class SupervisionError(RolebookError):
    """The base of the errors of supervision."""


@final
class UnknownChild(SupervisionError, LookupError):
    """The tree has no child of that name.

    Args:
        path: The name that was asked for, such as `session/listener`.
        known: The names there are at the place where the search ended.
    """

    def __init__(self, path: str, known: Sequence[str]) -> None:
        super().__init__(path, known)
        self.path = path
        self.known: tuple[str, ...] = tuple(known)

    def __str__(self) -> str:
        shown = ", ".join(repr(name) for name in self.known[:20]) or "nothing"
        return f"no child {self.path!r}; there is {shown}"


@final
class NotSupervising(SupervisionError):
    """The supervisor is over, not yet up, or on its way down: it takes no commands."""


@final
class ChildDown(SupervisionError):
    """A child that was to be started is down: it ended, was parked, or its supervisor stopped.

    Args:
        path: The child.
        state: What became of it.
    """

    def __init__(self, path: str, state: str) -> None:
        super().__init__(path, state)
        self.path = path
        self.state = state

    def __str__(self) -> str:
        return f"child {self.path!r} is not running: it is {self.state}"


@final
class StartTimedOut(SupervisionError):
    """A child did not call `task_status.started()` within its `start_timeout`.

    Args:
        path: The child.
        seconds: Its `start_timeout`.
    """

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(path, seconds)
        self.path = path
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"child {self.path!r} did not report that it is ready within {self.seconds:g} s; "
            "call task_status.started() sooner, or raise start_timeout"
        )


@final
class EndedUnexpectedly(SupervisionError):
    """A permanent child returned.

    Args:
        path: The child.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"permanent child {self.path!r} returned; use restart='transient' if it may"


@final
class CancelledByNobody(SupervisionError):
    """A child raised `trio.Cancelled`, and it had not been cancelled: it was one that somebody had kept.

    Args:
        path: The child.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"child {self.path!r} raised trio.Cancelled although nobody had cancelled it; "
            "never keep a trio.Cancelled to raise it elsewhere"
        )


@final
class ChildFailed(SupervisionError, ExceptionGroup[Exception]):
    """One failure of one child: a group of one, that names child, attempt and time.

    A group, so that `except* ValueError` finds the child's own error however deep the tree is.

    Args:
        path: The child.
        attempt: Failures in a row, this one included.
        at: When, on the supervisor's clock (`trio.current_time()`), in seconds.
        when: When, by the calendar.
        errors: The child's error.
    """

    def __new__(cls, path: str, attempt: int, at: float, when: datetime, errors: Sequence[Exception]) -> Any:
        """Make the group, with a text that names child, attempt and time."""
        clock = f"{when.isoformat(timespec='milliseconds')} (trio clock {at:.3f})"
        text = f"child {path!r} failed: attempt {attempt}, {clock}"
        return super().__new__(cls, text, errors)

    def __init__(
        self, path: str, attempt: int, at: float, when: datetime, errors: Sequence[Exception]
    ) -> None:
        self.path = path
        self.attempt = attempt
        self.at = at
        self.when = when

    def derive(self, excs: Sequence[Exception], /) -> "ChildFailed":  # type: ignore[override]
        """Make the group of a part of the errors, for `except*`."""
        return ChildFailed(self.path, self.attempt, self.at, self.when, excs)

    def __reduce__(self) -> tuple[Any, ...]:
        return (ChildFailed, (self.path, self.attempt, self.at, self.when, self.exceptions))


@final
class GaveUp(SupervisionError, ExceptionGroup[Exception]):
    """A supervisor has used up its restarts and stopped; the group holds the history of failures.

    Args:
        path: The supervisor.
        reason: What was used up.
        errors: The failures that led to it, oldest first, each a `ChildFailed`.
    """

    def __new__(cls, path: str, reason: str, errors: Sequence[Exception]) -> Any:
        """Make the group, with a text that names the supervisor and what was used up."""
        return super().__new__(cls, f"supervisor {path!r} gave up: {reason}", errors)

    def __init__(self, path: str, reason: str, errors: Sequence[Exception]) -> None:
        self.path = path
        self.reason = reason

    def derive(self, excs: Sequence[Exception], /) -> "GaveUp":  # type: ignore[override]
        """Make the group of a part of the errors, for `except*`."""
        return GaveUp(self.path, self.reason, excs)

    def __reduce__(self) -> tuple[Any, ...]:
        return (GaveUp, (self.path, self.reason, self.exceptions))


def failure_in(error: BaseException, path: str) -> Exception | None:
    """Return what a child failed with; None if it is more than the failure of one child: Ctrl-C.

    Args:
        error: What came out of the child, which is not its own cancellation.
        path: The child.
    """
    rest = _without_cancellation(error)
    if rest is None:
        nobody = CancelledByNobody(path)
        nobody.__cause__ = error
        return nobody
    try:
        return failure_of(rest)
    except BaseException:  # noqa: BLE001 - which it says by raising
        return None


def _without_cancellation(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        group: BaseExceptionGroup[BaseException] = error  # pyright: ignore[reportUnknownVariableType]
        return group.split(trio.Cancelled)[1]
    return None if isinstance(error, trio.Cancelled) else error
