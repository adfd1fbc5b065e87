"""A supervisor at work.

Every task of a child runs in one nursery that is shielded from the cancellation around the supervisor.
So a cancelled supervisor still stops its children one after the other, in the reverse order of their start;
a task beside the shield notices the cancellation and makes it hurry.

What to do about an exit is decided, and written down, without a checkpoint, in the task that ended.
Whatever takes time (stopping, waiting, starting) is done by a `Recovery` in a task of its own.
"""

from collections.abc import Callable
from random import Random
from typing import Literal, TypeAlias, assert_never

import attrs
import trio

from ._cell import Cell, State
from ._errors import EndedUnexpectedly, StartTimedOut, failure_in
from ._events import ChildFinished, ChildRestarted, ChildStarted, ChildStopped, EventHub
from ._policy import Action, Escalate, Exit, LeaveDown, Park, Restart, ShutDown, decide
from ._records import Records
from ._recovery import Recovery
from ._spec import Child, Spec, Supervisor
from ._stopping import Stopping

Ending: TypeAlias = Literal["stop", "shut_down", "gave_up", "fatal"]


@attrs.define(eq=False)
class _Readiness(trio.TaskStatus[object]):
    """What a child calls when it is ready; a call too many, or too late, changes nothing."""

    _supervisor: "RunningSupervisor"
    _cell: Cell
    _incarnation: int

    def started(self, value: object = None) -> None:
        cell = self._cell
        if cell.incarnation == self._incarnation and cell.state == "starting" and not cell.is_cancelled:
            self._supervisor.note_ready(cell)


@attrs.define(eq=False)
class RunningSupervisor:
    """The live counterpart of a `Supervisor`."""

    spec: Supervisor
    path: str
    hub: EventHub
    random: Random
    cells: dict[str, Cell] = attrs.field(init=False)
    records: Records = attrs.field(init=False)
    announces: Stopping | None = attrs.field(default=None, init=False)
    ending: Ending | None = attrs.field(default=None, init=False)
    deadline: float = attrs.field(default=float("inf"), init=False)
    began_at: float | None = attrs.field(default=None, init=False)
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    _over: trio.Event = attrs.field(factory=trio.Event, init=False)
    _ready: trio.Event = attrs.field(factory=trio.Event, init=False)
    _hurry: bool = attrs.field(default=False, init=False)
    _nursery: trio.Nursery = attrs.field(init=False)
    _recoveries: set[Recovery] = attrs.field(factory=set[Recovery], init=False)
    latest: Recovery | None = attrs.field(default=None, init=False)
    _fatal: list[BaseException] = attrs.field(factory=list[BaseException], init=False)

    def __attrs_post_init__(self) -> None:
        self.cells = {child.name: self.new_cell(child, child.name) for child in self.spec.children}
        self.records = Records(self.spec, self.path, self.hub)

    def new_cell(self, spec: Spec, name: str, args: tuple[object, ...] = ()) -> Cell:
        """Make the place for a child."""
        return Cell(spec, name, f"{self.path}/{name}", args)

    # Its own life

    @property
    def has_begun(self) -> bool:
        """Whether it has begun to start its children."""
        return self.began_at is not None

    @property
    def is_over(self) -> bool:
        """Whether it has begun to stop."""
        return self._over.is_set()

    @property
    def state(self) -> State:
        """What it does, in the words of a child's state."""
        if self.ended.is_set():
            return "failed" if self.ending in ("gave_up", "fatal") else "stopped"
        if self.is_over:
            return "stopping"
        if not self.has_begun:
            return "waiting"
        return "running" if self._ready.is_set() else "starting"

    async def run(self, task_status: trio.TaskStatus[None], stopping: Stopping | None = None) -> None:
        """Start the children, keep them running, and stop them.

        Args:
            task_status: Told once all children are ready, or known to stay down.
            stopping: Asks the supervisor to stop politely.

        Raises:
            GaveUp: The restarts were used up.
            BaseExceptionGroup: With what is no child's failure: KeyboardInterrupt.
        """
        try:
            async with trio.open_nursery() as watchers:
                watchers.start_soon(self._watch_for_cancellation)
                if stopping is not None:
                    watchers.start_soon(self._watch_for_request, stopping)
                # In a task of its own: Trio raises KeyboardInterrupt in its main task, which may be this one.
                # It only waits, so that an interrupt becomes a cancellation, and the stop keeps its order.
                watchers.start_soon(self._serve, task_status, watchers.cancel_scope)
        finally:
            self.ended.set()
            self._raise_ending()

    async def _serve(self, task_status: trio.TaskStatus[None], watchers: trio.CancelScope) -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as self._nursery:
                self.began_at = trio.current_time()
                if not self.is_over:  # it may have been told to stop before it began
                    self.recover(Recovery(list(self.cells.values()), is_first=True))
                await self._ready.wait()
                if self.ending is None:
                    task_status.started()
                await self._over.wait()
                await self._stop_all()
        watchers.cancel()

    async def _watch_for_cancellation(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.finish("stop")
            self.hurry()

    async def _watch_for_request(self, stopping: Stopping) -> None:
        await stopping.wait()
        self.finish("stop", stopping.deadline)

    def finish(self, ending: Ending, deadline: float = float("inf")) -> None:
        """Begin to stop; from here on nothing is restarted. The first ending counts, and the first deadline.

        Args:
            ending: Why.
            deadline: When its children are to have stopped; what they have to stop is cut short by it.
        """
        if self.announces is not None:
            self.announces.set()
            deadline = min(deadline, self.announces.deadline)
        if self.is_over:
            self.hold_to(deadline)
            return
        self.ending = ending
        self._over.set()
        self._ready.set()
        for recovery in self._recoveries:
            recovery.scope.cancel()
        for cell in self.cells.values():
            if cell.recovery is not None:
                cell.recovery.release(cell)
            if not cell.is_alive and cell.is_pending:
                cell.become("stopped")
        self.hold_to(deadline)

    def hold_to(self, deadline: float) -> None:
        """Stop by a deadline, if it is earlier than the one known so far."""
        if deadline < self.deadline:
            self.deadline = deadline
            for cell in self.cells.values():
                if cell.state == "stopping":
                    cell.hold_to(deadline)

    def announce_by(self, stopping: Stopping | None) -> None:
        """Say by this that it begins to stop, for whatever reason; also if it has been told to already."""
        self.announces = stopping
        if stopping is not None and self.is_over:
            self.finish("stop")

    def hurry(self) -> None:
        """Cancel the children that are still being asked politely, and ask no other."""
        self._hurry = True
        for cell in self.cells.values():
            if cell.state == "stopping":
                cell.cancel()

    async def _stop_all(self) -> None:
        cells = list(self.cells.values())
        if self.spec.template is not None:  # they have no order
            for cell in cells:
                self._ask_to_stop(cell)
        for cell in reversed(cells):
            await self.stop(cell)

    def _raise_ending(self) -> None:
        if self._fatal:
            raise BaseExceptionGroup(f"supervisor {self.path!r} was interrupted", self._fatal)
        if self.ending == "gave_up":
            raise self.records.gave_up()

    # A child comes and goes

    def spawn(self, cell: Cell) -> None:
        """Start an incarnation; it runs from the next step of the scheduler on."""
        assert not cell.is_alive, "never two incarnations of one child"
        cell.embody()
        self._nursery.start_soon(self._incarnate, cell, name=cell.path)

    async def _incarnate(self, cell: Cell) -> None:
        error: Exception | None = None
        cell.task = trio.lowlevel.current_task()
        assert cell.scope is not None
        try:
            with cell.scope:
                await self._call(cell, _Readiness(self, cell, cell.incarnation))
        except BaseException as caught:
            if self._nursery.cancel_scope.cancel_called:  # the supervisor itself is broken
                raise
            error = failure_in(caught, cell.path)
            if error is None:  # KeyboardInterrupt: raised after the stop
                self._fatal.append(caught)
                self.finish("fatal")
                self.hurry()
        self._note_exit(cell, error)

    async def _call(self, cell: Cell, readiness: _Readiness) -> None:
        if isinstance(cell.spec, Child):
            if not cell.spec.reports_ready:
                readiness.started()
            await cell.call(readiness)
        else:
            cell.inner = RunningSupervisor(cell.spec, cell.path, self.hub, self.random)
            cell.inner.hold_to(self.deadline)
            await cell.inner.run(readiness, cell.stopping)

    def note_ready(self, cell: Cell) -> None:
        """Take note that a child is ready."""
        assert cell.scope is not None
        cell.scope.deadline = cell.report_at = float("inf")
        cell.ready_at = trio.current_time()
        cell.times_ready += 1
        recovery = cell.recovery
        # A child may become ready when another has just failed: then it is still to be taken down.
        if recovery is not None and recovery.has_started(cell):
            cell.recovery = None
        cell.become("running")
        if self.hub.is_heard:
            again = recovery is not None and recovery.attempt > 0 and cell.incarnation > 1
            event = ChildRestarted if again else ChildStarted
            self.hub.emit(event(cell.path, cell.ready_at, cell.incarnation))

    def _note_exit(self, cell: Cell, error: Exception | None) -> None:
        now = trio.current_time()
        was, ready_at = cell.state, cell.ready_at
        if was == "starting" and cell.is_cancelled:
            error = _timed_out(cell, error)
        cell.disembody()
        if was == "stopping" or self.is_over:
            if error is not None:
                self.records.note_failure(cell, error, 0)
            cell.become("stopped")
            self.forget_if_leaving(cell)
            self.records.emit(ChildStopped(cell.path, now))
            return
        healthy_for = self.records.healthy_for(ready_at, now)
        exit_ = Exit(cell.spec, error is not None, now, healthy_for, cell.name)
        history = self.records.history(cell, self.cells.values())
        self._act(cell, error, decide(exit_, self.spec, history))

    # What was decided about an exit

    def _act(self, cell: Cell, error: Exception | None, action: Action) -> None:
        if isinstance(action, LeaveDown | ShutDown):
            self._leave_down(cell, error, action)
            return
        delay = self.spec.backoff.delay(action.attempt, self.random) if isinstance(action, Restart) else None
        failure = error or EndedUnexpectedly(cell.path)
        self.records.note_failure(cell, failure, action.attempt, counts=True, delay=delay)
        match action:
            case Restart():
                self._restart(cell, action, delay or 0.0)
            case Park():
                self._park(cell, action)
            case Escalate():
                cell.become("failed")
                self.records.note_gave_up()
                self.finish("gave_up")
            case _:  # pragma: no cover
                assert_never(action)

    def _leave_down(self, cell: Cell, error: Exception | None, action: LeaveDown | ShutDown) -> None:
        if error is not None:
            self.records.note_failure(cell, error, cell.attempts + 1)
        else:
            self.records.emit(ChildFinished(cell.path, trio.current_time()))
        cell.recovery = None
        cell.become(action.state)
        if self.spec.template is not None:
            self.cells.pop(cell.name, None)
        if isinstance(action, ShutDown):
            self.finish("shut_down")

    def _restart(self, cell: Cell, action: Restart, delay: float) -> None:
        self.records.remember(cell, action.history)
        cell.become("backing_off")
        self.recover(Recovery(self.startable(action.children), delay, action.attempt, culprit=cell))

    def _park(self, cell: Cell, action: Park) -> None:
        if self.spec.strategy == "one_for_one":
            self.set_parked(cell)
        else:
            cell.become("backing_off")
            self.recover(Recovery(self.startable(action.children), culprit=cell, parks=True))

    def set_parked(self, cell: Cell) -> None:
        """Leave a child down until it is resumed."""
        cell.recovery = None
        cell.become("parked")
        self.records.note_parked(cell)

    def startable(self, names: tuple[str, ...]) -> list[Cell]:
        """Return those that are started with their group: not down by somebody's wish, or for good."""
        cells = (self.cells[name] for name in names)
        return [cell for cell in cells if not cell.is_left_out]

    def forget_if_leaving(self, cell: Cell) -> None:
        """Forget a dynamic child that was removed; its name may be another's by now."""
        if cell.is_leaving and self.cells.get(cell.name) is cell:
            del self.cells[cell.name]

    # Recovery

    def recover(self, recovery: Recovery) -> None:
        """Begin a recovery."""
        for cell in recovery.forced:
            cell.is_leaving = False
        recovery.take_over(list(self.cells.values()) if self.spec.children else recovery.cells)
        if self.spec.strategy != "one_for_one":
            self.records.whole_since = None
            self.latest = recovery
        self._recoveries.add(recovery)
        self._nursery.start_soon(self._carry_out, recovery, name=f"{self.path} (recovery)")

    async def _carry_out(self, recovery: Recovery) -> None:
        try:
            await recovery.carry_out(self)
        finally:
            self._recoveries.discard(recovery)

    def note_recovered(self, recovery: Recovery) -> None:
        """Take note that a recovery is done."""
        if self.latest is recovery:
            self.records.whole_since = trio.current_time()
        if recovery.is_first:
            self._ready.set()
        self.records.note_recovered(recovery.cells)

    def _ask_to_stop(self, cell: Cell) -> None:
        if cell.is_alive:
            cell.ask_to_stop(politely=not self._hurry, deadline=self.deadline)

    async def stop(self, cell: Cell) -> None:
        """Stop a child, and return when it has ended, though it may have been started again since."""
        self._ask_to_stop(cell)
        incarnation = cell.incarnation
        await self.wait(cell, lambda cell: not cell.is_alive or cell.incarnation != incarnation)

    async def wait(self, cell: Cell, condition: Callable[[Cell], bool]) -> None:
        """Wait until the condition holds; report the child if it was cancelled and does not end in time."""
        if await cell.wait_overdue(condition):
            self.records.note_stuck(cell)
            await cell.wait(condition)


def _timed_out(cell: Cell, error: Exception | None) -> StartTimedOut:
    assert cell.spec.start_timeout is not None
    late = StartTimedOut(cell.path, cell.spec.start_timeout)
    late.__cause__ = error
    return late
