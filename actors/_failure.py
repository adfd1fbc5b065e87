"""What user code raised, as the failure of what ran it: of one turn, or of one child."""

from collections.abc import Iterator
from typing import Any, final

import trio

from ._errors import Rejected, RolebookError


@final
class BaseExceptionRaised(RolebookError):
    """User code raised what is no `Exception`: `sys.exit()`, or the panic of an extension.

    It fails its turn, or its child, as any error does, and ends nothing else.

    Args:
        error: What was raised; it is the cause of this error as well.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error
        self.__cause__ = error

    def __str__(self) -> str:
        error = self.error
        if isinstance(error, SystemExit):
            return f"sys.exit({error.code!r}) was called, which ends no process here; raise what is wrong"
        return f"{type(error).__qualname__}: {error}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.error,))


def failure_of(error: BaseException) -> Exception:
    """Return what user code raised as a failure; call it in an `except BaseException`.

    A group that holds refusals and nothing else, as a nursery makes it, is the first of them.

    Raises:
        KeyboardInterrupt: It is one, or a group with one in it.
        trio.Cancelled: As well, if the caller is cancelled: one that was kept and raised again is a failure.
    """
    if isinstance(error, Exception) and not isinstance(error, ExceptionGroup):
        return error
    leaves = list(_leaves(error))
    if any(map(_passes, leaves)):
        raise error
    if all(isinstance(leaf, Rejected) for leaf in leaves):
        return leaves[0]
    return error if isinstance(error, Exception) else BaseExceptionRaised(error)


def _leaves(error: Any) -> Iterator[Any]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _passes(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, trio.Cancelled) and _is_cancelled())


def _is_cancelled() -> bool:
    return trio.lowlevel.in_trio_task() and trio.current_effective_deadline() == float("-inf")
