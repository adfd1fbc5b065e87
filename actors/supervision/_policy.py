"""What to do when a child has ended: a pure function of the exit, the supervisor and its history.

It reads no clock and draws no random number; the running supervisor does what it returns.

| the child            | returned                 | failed                   |
|----------------------|--------------------------|--------------------------|
| permanent            | restart                  | restart                  |
| transient            | leave it down (finished) | restart                  |
| temporary            | leave it down (finished) | leave it down (failed)   |

A restart that is one too many becomes `Escalate` or `Park`.
A significant child that is left down may become `ShutDown`.
"""

from typing import Literal, TypeAlias, final

import attrs

from ._spec import Spec, Supervisor


@final
@attrs.frozen
class Exit:
    """A child ended by itself: nobody had asked it to stop.

    Args:
        child: The child.
        failed: Whether it ended with an error, or did not become ready in time; else it returned.
        at: When, on the supervisor's clock in seconds.
        healthy_for: Seconds for which it, or under a group strategy the group, had been ready; None if it
            never was.
        name: The name of a dynamic child, whose `child` is the template.
    """

    child: Spec
    failed: bool
    at: float
    healthy_for: float | None = None
    name: str | None = None


@final
@attrs.frozen
class History:
    """What a supervisor remembers of the past, as far as decisions need it.

    Args:
        restarts: When it restarted something, oldest first, as far as the window reaches back.
        attempts: Failures in a row before this one.
        significant_left: Other significant children that are not down: neither ended, nor stopped by
            somebody, nor parked.
    """

    restarts: tuple[float, ...] = ()
    attempts: int = 0
    significant_left: int = 0


@final
@attrs.frozen
class Restart:
    """Stop what is left of these children, wait, and start them again in their order.

    Args:
        children: Their names, in the order of their start.
        attempt: Failures in a row, this one included: the argument of `Backoff.delay`.
        history: The history with this restart in it.
    """

    children: tuple[str, ...]
    attempt: int
    history: History


@final
@attrs.frozen
class Park:
    """Stop what is left of these children and leave them down until they are resumed."""

    children: tuple[str, ...]
    attempt: int


@final
@attrs.frozen
class Escalate:
    """Stop all children and fail, with the history of failures."""

    attempt: int


@final
@attrs.frozen
class LeaveDown:
    """Do nothing: the child stays as it ended."""

    state: Literal["finished", "failed"]


@final
@attrs.frozen
class ShutDown:
    """Stop all children and return, for the significant children have ended."""

    state: Literal["finished", "failed"]


Action: TypeAlias = Restart | Park | Escalate | LeaveDown | ShutDown


def decide(exit: Exit, spec: Supervisor, history: History) -> Action:  # noqa: A002  # OTP's word
    """Decide what a supervisor does about the exit of one of its children.

    Args:
        exit: Which child ended, how, and when.
        spec: The supervisor.
        history: Its past; under `one_for_one` with `on_exhausted="park"`, that of this child alone.
    """
    if not is_restarted(exit):
        return _left_down(exit, spec, history)
    attempt = next_attempt(exit, spec, history)
    restarts = in_window(history.restarts, spec.within, exit.at)
    if spec.max_restarts is not None and len(restarts) >= spec.max_restarts:
        affected = affected_by(exit.name or exit.child.name, spec)
        return Park(affected, attempt) if spec.on_exhausted == "park" else Escalate(attempt)
    counted = (*restarts, exit.at) if spec.max_restarts is not None else ()
    after = History(counted, attempt, history.significant_left)
    return Restart(affected_by(exit.name or exit.child.name, spec), attempt, after)


def is_restarted(exit: Exit) -> bool:  # noqa: A002  # OTP's word
    """Whether a child that ended so is to be restarted at all."""
    restart = exit.child.restart
    return restart == "permanent" or (restart == "transient" and exit.failed)


def next_attempt(exit: Exit, spec: Supervisor, history: History) -> int:  # noqa: A002  # OTP's word
    """Return the number of failures in a row, this one included; sustained health starts it again."""
    healthy = exit.healthy_for is not None and exit.healthy_for >= spec.backoff.healthy_after
    return 1 if healthy else history.attempts + 1


def in_window(restarts: tuple[float, ...], within: float, now: float) -> tuple[float, ...]:
    """Return the restarts that still count: both ends of the window belong to it, as in OTP."""
    return tuple(at for at in restarts if now - at <= within)


def affected_by(name: str, spec: Supervisor) -> tuple[str, ...]:
    """Return the names of the children that are restarted, or parked, together with this one."""
    if spec.strategy == "one_for_one":
        return (name,)
    names = tuple(child.name for child in spec.children)
    return names if spec.strategy == "one_for_all" else names[names.index(name) :]


def _left_down(exit: Exit, spec: Supervisor, history: History) -> LeaveDown | ShutDown:  # noqa: A002
    state: Literal["finished", "failed"] = "failed" if exit.failed else "finished"
    if not exit.child.significant:
        return LeaveDown(state)
    last = spec.auto_shutdown == "all_significant" and history.significant_left == 0
    return ShutDown(state) if last or spec.auto_shutdown == "any_significant" else LeaveDown(state)
