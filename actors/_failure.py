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
        self.error: BaseException = error
        self.__cause__: BaseException | None = error

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
    leaves = list(_leaves(error))
    if any(map(_passes, leaves)):
        raise _without_others(error)
    if leaves[0] is not error and all(isinstance(leaf, Rejected) for leaf in leaves):
        refusal: Rejected = leaves[0]
        return refusal
    return error if isinstance(error, Exception) else BaseExceptionRaised(error)


def _without_others(error: Any) -> BaseException:
    passing: BaseException = error.subgroup(_passes) if _is_group(error) else error
    return passing


def _leaves(error: Any) -> Iterator[Any]:
    if _is_group(error):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _is_group(error: object) -> bool:
    return isinstance(error, BaseExceptionGroup)


def _passes(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, trio.Cancelled) and _is_cancelled())


def _is_cancelled() -> bool:
    return trio.lowlevel.in_trio_task() and trio.current_effective_deadline() == float("-inf")
