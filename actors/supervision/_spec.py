"""The tree as a value: what is to run, in which order, and what happens when it fails.

Everything is checked when it is built.
A tree that could be built never fails at run time for a reason of configuration.
"""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, TypeAlias, final

import attrs

from .._backoff import Backoff
from .._invalid import InvalidSetting
from ._checks import check_call, check_child, check_supervisor
from ._mailbox import MailboxGauge
from ._telling import Teller

Start: TypeAlias = Callable[..., Awaitable[object]]
Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
Shutdown: TypeAlias = float | Literal["forever", "brutal"]
Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
OnExhausted: TypeAlias = Literal["escalate", "park"]
AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]


@final
@attrs.frozen
class Child:
    """A task to be kept running.

    Args:
        name: Its name among its siblings; without `/`.
        start: An async callable. If it has a parameter `task_status`, the child is ready once it called
            `task_status.started()`, and the next sibling starts only then; otherwise it is ready as soon as
            it runs. If it has a parameter `stopping`, it is given a `Stopping`, by which it is asked to stop
            before it is cancelled.
        restart: `permanent`: always restarted. `transient`: restarted unless it returned.
            `temporary`: never restarted.
        shutdown: Seconds the child has to stop; fewer if its whole tree stops by a deadline, and that comes
            first. `"forever"`: it is waited for, however long it takes, or until that deadline.
            `"brutal"`: it is cancelled at once, without the request to stop.
        start_timeout: Seconds until it must have reported that it is ready; None waits for ever.
        significant: Its end by itself may shut down the supervisor (`auto_shutdown`).
        mailbox: Called for a snapshot: tells how full the child's mailbox is.
        note: Called for a snapshot: says in a few words what the child has in hand.
        teller: Tells of its failures in place of the log of the supervisor.
        reserve: Seconds beyond the deadline of a tree that stops by one, for a child that has to end what
            the others leave it. See `Stopping.seconds`.

    Raises:
        InvalidSetting: A value cannot work.
    """

    name: str
    start: Start
    restart: Restart = "permanent"
    shutdown: Shutdown = 5.0
    start_timeout: float | None = 30.0
    significant: bool = False
    mailbox: MailboxGauge | None = attrs.field(default=None, eq=False, repr=False)
    note: Callable[[], str] | None = attrs.field(default=None, eq=False, repr=False)
    teller: Teller | None = attrs.field(default=None, eq=False, repr=False)
    reserve: float = attrs.field(default=0.0, eq=False, repr=False)
    reports_ready: bool = attrs.field(
        default=attrs.Factory(lambda self: _has_parameter(self.start, "task_status"), takes_self=True),
        init=False,
        eq=False,
        repr=False,
    )
    takes_stopping: bool = attrs.field(
        default=attrs.Factory(lambda self: _has_parameter(self.start, "stopping"), takes_self=True),
        init=False,
        eq=False,
        repr=False,
    )

    def __attrs_post_init__(self) -> None:
        check_child(self)


def _tuple(given: Any) -> "tuple[Child | Supervisor, ...]":
    if not isinstance(given, tuple | list):
        raise InvalidSetting("children", f"{given!r} is not a tuple", "give a tuple of children")
    found: tuple[Any, ...] = tuple(given)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    return found


@final
@attrs.frozen
class Supervisor:
    """A group of children, what happens when one of them fails, and when to give up.

    Supervisors nest: a supervisor is a child like any other.

    Args:
        name: Its name among its siblings; without `/`.
        children: What it runs, in the order of their start; they stop in the reverse order.
        strategy: What is restarted when a child fails. `one_for_one`: that child. `one_for_all`: all.
            `rest_for_one`: that child and those after it.
        max_restarts: More restarts than this within `within` seconds, and the supervisor is exhausted.
            None: it never is.
        within: The window in which restarts are counted, in seconds.
        backoff: The wait before a restart.
        on_exhausted: `escalate`: the supervisor stops all children and fails with the history of failures.
            `park`: what would have been restarted stays down, visibly, until it is resumed.
        auto_shutdown: `any_significant`: the supervisor stops when a significant child ended by itself.
            `all_significant`: when the last of them did. `never`: it does not.
        restart: As a child of another supervisor: when it is restarted.
        shutdown: As a child: seconds it has to stop; by default as long as its own children need.
        start_timeout: As a child: seconds until all of its children must be ready.
        significant: As a child: its end by itself may shut down the supervisor above.
        template: Makes the supervisor dynamic: children of this one kind are added and removed at run time.
            They stop all at once, for they have no order.

    Raises:
        InvalidSetting: A value, or a combination of values, cannot work.
    """

    name: str
    children: "tuple[Child | Supervisor, ...]" = attrs.field(default=(), converter=_tuple)
    strategy: Strategy = attrs.field(default="one_for_one", kw_only=True)
    max_restarts: int | None = attrs.field(default=3, kw_only=True)
    within: float = attrs.field(default=5.0, kw_only=True)
    backoff: Backoff = attrs.field(factory=Backoff, kw_only=True)
    on_exhausted: OnExhausted = attrs.field(default="escalate", kw_only=True)
    auto_shutdown: AutoShutdown = attrs.field(default="never", kw_only=True)
    restart: Restart = attrs.field(default="permanent", kw_only=True)
    shutdown: Shutdown = attrs.field(default="forever", kw_only=True)
    start_timeout: float | None = attrs.field(default=None, kw_only=True)
    significant: bool = attrs.field(default=False, kw_only=True)
    template: Child | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check_kinds(self)
        check_supervisor(self)
        for index, child in enumerate(self.children):
            if isinstance(child, Child):
                check_call(child, f"children[{index}]")


Spec: TypeAlias = Child | Supervisor


def _check_kinds(spec: Supervisor) -> None:
    """Refuse values of the wrong kind: a caller without a type checker errs."""
    backoff: Any = spec.backoff
    template: Any = spec.template
    children: tuple[Any, ...] = spec.children
    if not isinstance(backoff, Backoff):
        raise InvalidSetting("backoff", f"{backoff!r} is not a Backoff", "give a Backoff(...)")
    if not isinstance(template, Child | None):
        raise InvalidSetting("template", f"{template!r} is no child", "give a Child(...)")
    for index, child in enumerate(children):
        if not isinstance(child, Child | Supervisor):
            remedy = "give a Child(...) or a Supervisor(...)"
            raise InvalidSetting(f"children[{index}]", f"{child!r} is no child", remedy)


_PARTIAL: Any = partial  # as Any, for the type of what it returns is not known


def _has_parameter(start: Any, name: str) -> bool:
    fixed: dict[str, Any] = start.keywords if isinstance(start, _PARTIAL) else {}
    try:
        found = inspect.signature(start).parameters.get(name)
    except (TypeError, ValueError):  # not a callable, or a built-in without a signature
        return False
    return (
        found is not None
        and name not in fixed
        and found.kind in (found.KEYWORD_ONLY, found.POSITIONAL_OR_KEYWORD)
    )
