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
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

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
    stop_by: float = float("inf")
    report_at: float = float("inf")
    reported: bool = False
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
    def is_left_out(self) -> bool:
        """Whether it is down by somebody's wish, or for good, and is not started with its group."""
        over = self.spec.restart == "temporary" and self.state in ("finished", "failed")
        return over or self.state in ("stopped", "parked")

    def become(self, state: State) -> None:
        """Change the state and wake whoever waits for a change."""
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

    async def wait_settled(self) -> None:
        """Wait until it is ready, or down for good."""
        await self.wait(lambda cell: not cell.is_pending)

    async def wait_ended(self) -> None:
        """Wait until there is no task."""
        await self.wait(lambda cell: not cell.is_alive)

    async def wait_ended_or_cancelled(self) -> None:
        """Wait until there is no task, or it was cancelled."""
        await self.wait(lambda cell: not cell.is_alive or cell.is_cancelled)

    def embody(self) -> None:
        """Get ready for a new incarnation: its scope, with the deadline of its start."""
        timeout = self.spec.start_timeout
        reports = isinstance(self.spec, Supervisor) or self.spec.reports_ready
        deadline = trio.current_time() + timeout if timeout is not None and reports else float("inf")
        self.scope = trio.CancelScope(deadline=deadline)
        takes = isinstance(self.spec, Supervisor) or self.spec.takes_stopping
        self.stopping = Stopping() if takes else None
        self.incarnation += 1
        self.stop_by = self.report_at = float("inf")
        self.reported = False
        self.become("starting")

    def disembody(self) -> None:
        """Forget what belonged to the incarnation that has ended."""
        self.scope = self.stopping = self.task = self.inner = self.ready_at = None

    def ask_to_stop(self, *, politely: bool) -> None:
        """Ask it to stop if it listens, else cancel it; once cancelled, it stays cancelled."""
        assert self.scope is not None
        now = trio.current_time()
        if self.state != "stopping":
            self.scope.deadline = float("inf")  # what the start may take no longer counts
            self.stop_by = now + self.seconds_to_stop
            self.become("stopping")
        if politely and self.stopping is not None and self.spec.shutdown != "brutal":
            self.stopping.set(self.stop_by)
        else:
            self.cancel()

    def cancel(self) -> None:
        """Cancel it."""
        assert self.scope is not None
        if not self.scope.cancel_called:
            self.scope.cancel()
        if self.report_at == float("inf"):
            self.report_at = trio.current_time() + self._patience
        self.notify()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.scope is not None and self.scope.cancel_called

    @property
    def seconds_to_stop(self) -> float:
        """How long it may take to stop, in seconds; also how long its clean-up may take once cancelled."""
        match self.spec.shutdown:
            case "forever":
                return float("inf")
            case "brutal":
                return 0.0
            case seconds:
                return seconds

    @property
    def _patience(self) -> float:
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
        await self.spec.start(*self.args, **given)
