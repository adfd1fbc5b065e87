"""One place in a running supervisor: a child, alive or not.

| state         | meaning                                                    | task? |
|---------------|------------------------------------------------------------|-------|
| waiting       | to be started, but its turn has not come                   | no    |
| starting      | runs, and has not reported that it is ready                | yes   |
| running       | ready                                                      | yes   |
| stopping      | was asked to stop, or cancelled, and has not ended         | yes   |
| backing_off   | failed, or stopped with one that failed; will be restarted | no    |
| stopped       | stopped because it was to stop                             | no    |
| finished      | returned, and is not restarted                             | no    |
| failed        | failed, and is not restarted                               | no    |
| parked        | stays down until it is resumed                             | no    |

`NEXT` says which state may follow which, and `become` holds every change to it.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs
import trio

from ._errors import ChildFailed
from ._spec import Child, Spec, Supervisor
from ._stopping import Stopping

if TYPE_CHECKING:
    from ._recovery import Recovery
    from ._supervisor import RunningSupervisor

State: TypeAlias = Literal[
    "waiting",
    "starting",
    "running",
    "stopping",
    "backing_off",
    "stopped",
    "finished",
    "failed",
    "parked",
]

ALIVE = frozenset({"starting", "running", "stopping"})
PENDING = frozenset({"waiting", "starting", "stopping", "backing_off"})

_AFTER_DOWN = frozenset[State]({"waiting", "starting", "backing_off", "parked", "stopped"})
_AFTER_EXIT = frozenset[State]({"stopped", "backing_off", "finished", "failed", "parked"})

NEXT: Final[Mapping[State, frozenset[State]]] = {
    # A child comes up through `starting` alone, and only one without a task may be started.
    "waiting": _AFTER_DOWN,
    "backing_off": _AFTER_DOWN,
    "stopped": _AFTER_DOWN,
    "finished": _AFTER_DOWN,
    "parked": _AFTER_DOWN,
    # That it failed for good is not forgotten because somebody stops it afterwards.
    "failed": _AFTER_DOWN - frozenset[State]({"stopped"}),
    "starting": _AFTER_EXIT | frozenset[State]({"running", "stopping"}),
    "running": _AFTER_EXIT | frozenset[State]({"stopping"}),
    # Who was told to stop is down when it has ended, whatever it ended with: nothing restarts it for that.
    "stopping": frozenset[State]({"stopped"}),
}


class IllegalTransition(RuntimeError):
    """A change of state that a child's life cycle does not have: a fault of the supervisor."""


# How long a cancelled child may take to end before it is reported, if its `shutdown` does not say.
_PATIENCE = {"brutal": 1.0, "forever": 10.0}


@attrs.define(eq=False)
class Cell:
    """A child of a running supervisor."""

    spec: Spec
    name: str
    path: str
    args: tuple[Any, ...] = ()
    state: State = "waiting"
    incarnation: int = 0
    restarts: int = 0
    times_ready: int = 0
    attempts: int = 0
    window: tuple[float, ...] = ()
    failure: ChildFailed | None = None
    ready_at: float | None = None
    mailbox_peak: int = 0
    # While it is alive:
    scope: trio.CancelScope | None = None
    stopping: Stopping | None = None
    task: trio.lowlevel.Task | None = None
    inner: "RunningSupervisor | None" = None
    report_at: float = float("inf")
    reported: bool = False
    is_leaving: bool = False
    # While it is to be started:
    recovery: "Recovery | None" = None
    _changed: trio.Event | None = None

    @property
    def is_alive(self) -> bool:
        """Whether there is a task."""
        return self.state in ALIVE

    @property
    def is_pending(self) -> bool:
        """Whether it is on its way to another state."""
        return self.state in PENDING

    @property
    def is_settled(self) -> bool:
        """Whether it is ready, or down and nobody is about to start it."""
        return self.recovery is None and not self.is_pending

    @property
    def is_left_out(self) -> bool:
        """Whether it is down by somebody's wish, or for good, and is not started with its group."""
        over = self.spec.restart == "temporary" and self.state in ("finished", "failed")
        return over or self.state in ("stopped", "parked")

    def become(self, state: State) -> None:
        """Change the state and wake whoever waits for a change.

        Raises:
            IllegalTransition: `NEXT` does not have it.
        """
        if state not in NEXT[self.state]:
            raise IllegalTransition(f"child {self.path!r} is {self.state} and cannot become {state}")
        self.state = state
        self.notify()

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait(self, condition: Callable[["Cell"], bool]) -> None:
        """Wait until the condition holds."""
        while not condition(self):
            if self._changed is None:
                self._changed = trio.Event()
            await self._changed.wait()

    async def wait_overdue(self, condition: Callable[["Cell"], bool]) -> bool:
        """Wait until the condition holds, or it was cancelled and has not ended in time.

        Returns:
            Whether it is overdue.
        """
        while not condition(self):
            due = self.report_at
            with trio.move_on_at(due):
                await self.wait(lambda cell: condition(cell) or cell.report_at != due)  # noqa: B023  # awaited here
                continue
            return True
        return False

    def embody(self) -> None:
        """Get ready for a new incarnation: its scope, with the deadline of its start."""
        timeout = self.spec.start_timeout
        reports = isinstance(self.spec, Supervisor) or self.spec.reports_ready
        deadline = trio.current_time() + timeout if timeout is not None and reports else float("inf")
        self.scope = trio.CancelScope(deadline=deadline)
        takes = isinstance(self.spec, Supervisor) or self.spec.takes_stopping
        self.stopping = Stopping() if takes else None
        self.incarnation += 1
        self.report_at = deadline + self._patience
        self.reported = False
        self.become("starting")

    def disembody(self) -> None:
        """Forget what belonged to the incarnation that has ended."""
        self.scope = self.stopping = self.task = self.inner = self.ready_at = None

    def ask_to_stop(self, *, politely: bool, deadline: float = float("inf")) -> None:
        """Ask it to stop if it listens, else cancel it; once cancelled, it stays cancelled.

        Args:
            politely: Whether to ask at all.
            deadline: Of the tree, on Trio's clock: fewer seconds may be left until then than it has itself.
        """
        assert self.scope is not None
        is_new = self.state != "stopping"
        if is_new:
            self.become("stopping")
        if not politely or self.stopping is None or self.spec.shutdown == "brutal" or self.is_cancelled:
            self.cancel()
        elif is_new:
            now = trio.current_time()
            # A supervisor passes the deadline on: those below that have a reserve are to have it.
            until = min(now + self._seconds_to_stop, self._latest(deadline))
            self.scope.deadline = until
            self.report_at = until + self._patience
            if until > now:
                self.stopping.set(min(until, deadline) if isinstance(self.spec, Supervisor) else until)
            else:
                self.cancel()

    def hold_to(self, deadline: float) -> None:
        """Its tree stops by a deadline now: end by then what was begun before."""
        if isinstance(self.spec, Supervisor):
            if self.inner is not None:
                self.inner.hold_to(deadline)
        elif self.scope is not None and not self.is_cancelled:
            self.scope.deadline = min(self.scope.deadline, self._latest(deadline))
            self.report_at = self.scope.deadline + self._patience
            self.notify()

    def _latest(self, deadline: float) -> float:
        """Until when it may stay if its tree stops by a deadline."""
        return deadline + self.spec.reserve if isinstance(self.spec, Child) else float("inf")

    def cancel(self) -> None:
        """Cancel it."""
        assert self.scope is not None
        self.scope.cancel()
        self.report_at = min(self.report_at, trio.current_time() + self._patience)
        self.notify()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.scope is not None and self.scope.cancel_called

    @property
    def _seconds_to_stop(self) -> float:
        """How long it may take to stop before it is cancelled, in seconds."""
        return float("inf") if isinstance(self.spec.shutdown, str) else self.spec.shutdown

    @property
    def _patience(self) -> float:
        """How long it may take to end once it was cancelled before it is reported, in seconds."""
        if isinstance(self.spec, Supervisor) and self.spec.shutdown == "forever":
            return float("inf")  # the children below report themselves
        return _PATIENCE[self.spec.shutdown] if isinstance(self.spec.shutdown, str) else self.spec.shutdown

    async def call(self, task_status: "trio.TaskStatus[None]") -> None:
        """Call the start function with what it has parameters for."""
        assert isinstance(self.spec, Child)
        given: dict[str, Any] = {}
        if self.spec.reports_ready:
            given["task_status"] = task_status
        if self.spec.takes_stopping:
            given["stopping"] = self.stopping
        begun: object = self.spec.start(*self.args, **given)
        if not inspect.isawaitable(begun):
            raise TypeError(f"the start function of {self.path!r} is not async: it returned {begun!r}")
        await begun
