"""A supervisor at work.

Every task of a child runs in one nursery that is shielded from the cancellation around the supervisor.
So a cancelled supervisor still stops its children one after the other, in the reverse order of their start;
a task beside the shield notices the cancellation and makes it hurry.

What to do about an exit is decided, and written down, without a checkpoint, in the task that ended.
Whatever takes time (stopping, waiting, starting) is done by a `Recovery` in a task of its own.
A cell belongs to one recovery at most; a newer one takes it over and cancels the older.
"""

import logging
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from random import Random
from typing import Literal, assert_never

import attrs
import trio

from ._cell import Cell, Recovery
from ._errors import ChildDown, ChildFailed, EndedUnexpectedly, GaveUp, StartTimedOut
from ._events import (
    ChildCrashed,
    ChildFinished,
    ChildParked,
    ChildRestarted,
    ChildStarted,
    ChildStopped,
    ChildStuck,
    EventHub,
    RestartScheduled,
    SupervisionEvent,
    SupervisorGaveUp,
)
from ._policy import Action, Escalate, Exit, History, LeaveDown, Park, Restart, ShutDown, affected_by, decide
from ._spec import Child, Spec, Supervisor
from ._stack import stack_of
from ._stopping import Stopping

log = logging.getLogger("understudy.supervision")

_REMEMBERED = 16  # failures that are kept when restarts are not limited


@attrs.define(eq=False)
class _Readiness(trio.TaskStatus[object]):
    """What a child calls when it is ready."""

    _supervisor: "RunningSupervisor"
    _cell: Cell
    _incarnation: int

    def started(self, value: object = None) -> None:
        """Report that the child is ready; calling it again changes nothing."""
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
    verdict: Literal["none", "stop", "shut_down", "gave_up", "fatal"] = attrs.field(
        default="none", init=False
    )
    over: trio.Event = attrs.field(factory=trio.Event, init=False)
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    _ready: trio.Event = attrs.field(factory=trio.Event, init=False)
    _hurry: bool = attrs.field(default=False, init=False)
    _nursery: trio.Nursery = attrs.field(init=False)
    _failures: deque[ChildFailed] = attrs.field(init=False)
    _window: tuple[float, ...] = attrs.field(default=(), init=False)
    _attempts: int = attrs.field(default=0, init=False)
    _latest: Recovery | None = attrs.field(default=None, init=False)
    _whole_since: float | None = attrs.field(default=None, init=False)
    _fatal: list[BaseException] = attrs.field(factory=list[BaseException], init=False)

    def __attrs_post_init__(self) -> None:
        self.cells = {child.name: self._new_cell(child, child.name) for child in self.spec.children}
        limit = self.spec.max_restarts
        self._failures = deque(maxlen=_REMEMBERED if limit is None else limit + 1)

    def _new_cell(self, spec: Spec, name: str, args: tuple[object, ...] = ()) -> Cell:
        return Cell(spec, name, f"{self.path}/{name}", args)

    # Its own life

    async def run(self, task_status: trio.TaskStatus[None], stopping: Stopping | None = None) -> None:
        """Start the children, keep them running, and stop them.

        Args:
            task_status: Told once all children are ready, or known to stay down.
            stopping: Asks the supervisor to stop politely.

        Raises:
            GaveUp: The restarts were used up.
            BaseExceptionGroup: With what no child may fail with: KeyboardInterrupt, SystemExit.
        """
        try:
            async with trio.open_nursery() as watchers:
                watchers.start_soon(self._watch_for_cancellation)
                if stopping is not None:
                    watchers.start_soon(self._watch_for_request, stopping)
                with trio.CancelScope(shield=True):
                    await self._serve(task_status)
                watchers.cancel_scope.cancel()
        finally:
            self.ended.set()
            self._raise_verdict()

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as self._nursery:
            self._recover(Recovery(list(self.cells.values()), is_first=True))
            await self._ready.wait()
            if self.verdict in ("none", "stop", "shut_down"):
                task_status.started()
            await self.over.wait()
            await self._stop_all()

    async def _watch_for_cancellation(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.finish("stop")
            self.hurry()

    async def _watch_for_request(self, stopping: Stopping) -> None:
        await stopping.wait()
        self.finish("stop")

    def finish(self, verdict: Literal["stop", "shut_down", "gave_up", "fatal"]) -> None:
        """Begin to stop; from here on nothing is restarted."""
        if self.over.is_set():
            return
        self.verdict = verdict
        self.over.set()
        self._ready.set()
        for cell in self.cells.values():
            if cell.recovery is not None:
                cell.recovery.scope.cancel()
                cell.recovery = None
            if not cell.is_alive and cell.is_pending:
                cell.become("stopped")

    def hurry(self) -> None:
        """Cancel the children that are still being asked politely, and ask no other."""
        self._hurry = True
        for cell in self.cells.values():
            if cell.state == "stopping":
                cell.cancel()

    async def _stop_all(self) -> None:
        cells = list(self.cells.values())
        if self.spec.template is not None:
            for cell in cells:
                self._ask_to_stop(cell)
        for cell in reversed(cells):
            await self._stop(cell)

    def _raise_verdict(self) -> None:
        if self._fatal:
            raise BaseExceptionGroup(f"supervisor {self.path!r} was interrupted", self._fatal)
        if self.verdict == "gave_up":
            raise GaveUp(self.path, self._exhaustion(), list(self._failures))

    def _exhaustion(self) -> str:
        return f"more than {self.spec.max_restarts} restarts within {self.spec.within:g} s"

    # A child's life

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
        except Exception as caught:  # noqa: BLE001  # whatever it is, it is the child's
            error = caught
        except trio.Cancelled:
            raise
        except BaseException as fatal:  # noqa: BLE001  # KeyboardInterrupt, SystemExit: raised after the stop
            self._fatal.append(fatal)
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
            await cell.inner.run(readiness, cell.stopping)

    def note_ready(self, cell: Cell) -> None:
        """Take note that a child is ready."""
        assert cell.scope is not None
        cell.scope.deadline = float("inf")
        cell.ready_at = trio.current_time()
        recovery, cell.recovery = cell.recovery, None
        cell.become("running")
        if self.hub.is_heard:
            again = recovery is not None and recovery.attempt > 0 and cell.incarnation > 1
            event = ChildRestarted if again else ChildStarted
            self.hub.emit(event(cell.path, cell.ready_at, cell.incarnation))

    def _note_exit(self, cell: Cell, error: Exception | None) -> None:
        now = trio.current_time()
        state, ready_at = cell.state, cell.ready_at
        timed_out = state == "starting" and cell.is_cancelled
        cell.disembody()
        if state == "stopping" or self.over.is_set():
            if error is not None:
                self._note_failure(cell, error, 0)
            cell.become("stopped")
            self._emit(ChildStopped(cell.path, now))
            return
        if timed_out:
            error = self._timed_out(cell, error)
        exit_ = Exit(cell.spec, error is not None, now, self._healthy_for(ready_at, now))
        self._act(cell, error, decide(exit_, self.spec, self._history(cell)))

    def _timed_out(self, cell: Cell, error: Exception | None) -> StartTimedOut:
        assert cell.spec.start_timeout is not None
        late = StartTimedOut(cell.path, cell.spec.start_timeout)
        late.__cause__ = error
        return late

    def _healthy_for(self, ready_at: float | None, now: float) -> float | None:
        since = ready_at if self.spec.strategy == "one_for_one" else self._whole_since
        return None if since is None else now - since

    def _history(self, cell: Cell) -> History:
        attempts = cell.attempts if self.spec.strategy == "one_for_one" else self._attempts
        window = cell.window if self._counts_alone else self._window
        return History(window, attempts, self._significant_left(cell))

    @property
    def _counts_alone(self) -> bool:
        # Parking is a judgement on one child: it must not fall on the one that happens to fail last.
        return self.spec.strategy == "one_for_one" and self.spec.on_exhausted == "park"

    def _significant_left(self, ended: Cell) -> int:
        if self.spec.auto_shutdown != "all_significant":
            return 0
        others = (cell for cell in self.cells.values() if cell is not ended and cell.spec.significant)
        return sum(cell.state not in ("finished", "failed") for cell in others)

    # What is decided about an exit

    def _act(self, cell: Cell, error: Exception | None, action: Action) -> None:
        match action:
            case Restart():
                self._note_failure(cell, error or EndedUnexpectedly(cell.path), action.attempt)
                self._restart(cell, action)
            case Park():
                self._note_failure(cell, error or EndedUnexpectedly(cell.path), action.attempt)
                self._park(cell, action)
            case Escalate():
                self._note_failure(cell, error or EndedUnexpectedly(cell.path), action.attempt)
                cell.become("failed")
                self._emit(SupervisorGaveUp(self.path, trio.current_time(), self._exhaustion()))
                log.error("supervisor %s gave up: %s", self.path, self._exhaustion())
                self.finish("gave_up")
            case LeaveDown() | ShutDown():
                self._leave_down(cell, error, action)
            case _:  # pragma: no cover
                assert_never(action)

    def _leave_down(self, cell: Cell, error: Exception | None, action: LeaveDown | ShutDown) -> None:
        if error is not None:
            self._note_failure(cell, error, cell.attempts + 1)
        cell.recovery = None
        cell.become(action.state)
        self._emit(ChildFinished(cell.path, trio.current_time()) if error is None else None)
        if self.spec.template is not None:
            self.cells.pop(cell.name, None)
        if isinstance(action, ShutDown):
            self.finish("shut_down")

    def _restart(self, cell: Cell, action: Restart) -> None:
        self._remember(cell, action.history)
        cell.become("backing_off")
        delay = self.spec.backoff.delay(action.attempt, self.random)
        cells = self._those_to_start(action.children)
        self._recover(Recovery(cells, delay, action.attempt, culprit=cell))

    def _remember(self, cell: Cell, history: History) -> None:
        if self.spec.strategy == "one_for_one":
            cell.attempts = history.attempts
        else:
            self._attempts = history.attempts
        if self._counts_alone:
            cell.window = history.restarts
        else:
            self._window = history.restarts

    def _those_to_start(self, names: Iterable[str]) -> list[Cell]:
        cells = (self.cells[name] for name in names)
        return [cell for cell in cells if not self._is_left_out(cell)]

    def _is_left_out(self, cell: Cell) -> bool:
        """Whether a child is down by somebody's wish, or for good, and is not started with its group."""
        over = cell.spec.restart == "temporary" and cell.state in ("finished", "failed")
        return over or cell.state in ("stopped", "parked")

    def _park(self, cell: Cell, action: Park) -> None:
        log.error("child %s is parked: %s; resume it by name", cell.path, self._exhaustion())
        if self.spec.strategy == "one_for_one":
            cell.recovery = None
            self._set_parked(cell)
        else:
            cell.become("backing_off")
            self._recover(Recovery(self._those_to_start(action.children), culprit=cell, parks=True))

    def _set_parked(self, cell: Cell) -> None:
        cell.become("parked")
        self._emit(ChildParked(cell.path, trio.current_time()))

    def _note_failure(self, cell: Cell, error: Exception, attempt: int) -> None:
        now = trio.current_time()
        failure = ChildFailed(cell.path, attempt, now, datetime.now(UTC), [error])
        cell.failure = failure
        if attempt > 0:
            self._failures.append(failure)
        log.error("%s", failure.message, exc_info=error)
        self._emit(ChildCrashed(cell.path, now, error, attempt))

    def _emit(self, event: SupervisionEvent | None) -> None:
        if event is not None:
            self.hub.emit(event)

    # Recovery: stop, wait, start

    def _recover(self, recovery: Recovery) -> None:
        """Begin a recovery; it takes over the cells of those it overlaps with, and they are cancelled."""
        for old in {id(cell.recovery): cell.recovery for cell in recovery.cells}.values():
            if old is not None:
                self._take_over(recovery, old)
        for cell in recovery.cells:
            cell.recovery = recovery
        if self.spec.strategy != "one_for_one":
            self._whole_since = None
            self._latest = recovery
        self._nursery.start_soon(self._carry_out, recovery, name=f"{self.path} (recovery)")

    def _take_over(self, new: Recovery, old: Recovery) -> None:
        left = {cell.name for cell in (*new.cells, *old.cells) if cell in new.cells or cell.recovery is old}
        new.cells = [cell for name, cell in self.cells.items() if name in left]
        new.is_first = new.is_first or old.is_first
        old.scope.cancel()

    async def _carry_out(self, recovery: Recovery) -> None:
        with recovery.scope:
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._take_down(recovery)
            await trio.lowlevel.checkpoint_if_cancelled()
            if recovery.parks:
                self._park_all(recovery)
            else:
                await self._wait_out(recovery)
                await self._start_all(recovery)
            if self._latest is recovery:
                self._whole_since = trio.current_time()
            if recovery.is_first:
                self._ready.set()

    async def _take_down(self, recovery: Recovery) -> None:
        for cell in reversed(recovery.cells):
            if cell.recovery is not recovery:
                continue
            await self._stop(cell)
            if cell.recovery is not recovery:
                continue
            if self._stays_down(cell, recovery):
                cell.recovery = None
                cell.notify()
            elif cell.incarnation > 0:
                cell.become("backing_off")

    def _park_all(self, recovery: Recovery) -> None:
        for cell in recovery.cells:
            if cell.recovery is recovery:
                cell.recovery = None
                self._set_parked(cell)

    async def _wait_out(self, recovery: Recovery) -> None:
        if recovery.culprit is not None and self.hub.is_heard:
            names = tuple(cell.name for cell in recovery.cells)
            now, path = trio.current_time(), recovery.culprit.path
            self._emit(RestartScheduled(path, now, names, recovery.attempt, recovery.delay))
        await trio.sleep(recovery.delay)

    async def _start_all(self, recovery: Recovery) -> None:
        for cell in recovery.cells:
            if cell.recovery is recovery:
                cell.restarts += recovery.attempt > 0 and cell.incarnation > 0
                await self._start(cell)

    def _stays_down(self, cell: Cell, recovery: Recovery) -> bool:
        """Whether a temporary child went down with its group: it is not started a second time."""
        return cell.spec.restart == "temporary" and cell.incarnation > 0 and cell is not recovery.forced

    async def _start(self, cell: Cell) -> None:
        self.spawn(cell)
        assert cell.scope is not None
        with trio.move_on_at(cell.scope.deadline + cell.seconds_to_stop):
            await cell.wait(lambda cell: not cell.is_pending)
            return
        self._report_stuck(cell)
        await cell.wait(lambda cell: not cell.is_pending)

    def _ask_to_stop(self, cell: Cell) -> None:
        if cell.is_alive:
            cell.ask_to_stop(politely=not self._hurry)

    async def _stop(self, cell: Cell) -> None:
        """Stop a child and return when it has ended: ask, wait, cancel, wait, report, wait."""
        if not cell.is_alive:
            return
        self._ask_to_stop(cell)
        if not cell.is_cancelled:
            with trio.move_on_at(cell.stop_by):
                await cell.wait(lambda cell: not cell.is_alive or cell.is_cancelled)
            if cell.is_alive:
                cell.cancel()
        with trio.move_on_at(cell.report_at):
            await cell.wait(lambda cell: not cell.is_alive)
        if cell.is_alive:
            self._report_stuck(cell)
            await cell.wait(lambda cell: not cell.is_alive)

    def _report_stuck(self, cell: Cell) -> None:
        if cell.reported or cell.task is None:
            return
        cell.reported = True
        stack = stack_of(cell.task)
        log.warning("child %s was cancelled and does not end; it stands at\n%s", cell.path, stack)
        self._emit(ChildStuck(cell.path, trio.current_time(), stack))

    # Commands

    def begin_restart(self, cell: Cell) -> None:
        """Restart a child and what its strategy restarts with it; not counted, and without a wait."""
        names = affected_by(cell.name, self.spec)
        cells = [each for name in names if (each := self.cells[name]) is cell or not self._is_left_out(each)]
        self._recover(Recovery(cells, forced=cell))

    def begin_start(self, cell: Cell) -> None:
        """Start a child that is down."""
        if not cell.is_alive and not cell.is_pending:
            self._recover(Recovery([cell], forced=cell))

    def begin_resume(self, cell: Cell) -> None:
        """Start what is parked with a child, with a clean record."""
        names = affected_by(cell.name, self.spec) if self.spec.strategy == "one_for_one" else self.cells
        cells = [each for name in names if (each := self.cells[name]).state == "parked"]
        if self.spec.strategy != "one_for_one":
            self._attempts, self._window = 0, ()
        for each in cells:
            each.attempts, each.window = 0, ()
        self._recover(Recovery(cells, forced=cell))

    async def wait_settled(self, cell: Cell) -> None:
        """Wait until a child is ready.

        Raises:
            ChildDown: It is not ready and will not become so by itself.
        """
        await cell.wait(lambda cell: cell.recovery is None and not cell.is_pending)
        if cell.state != "running":
            raise ChildDown(cell.path, cell.state)

    async def stop_child(self, cell: Cell) -> None:
        """Stop a child, which then stays down; its siblings are not touched."""
        cell.recovery = None
        if cell.is_alive:
            await self._stop(cell)
        elif cell.is_pending or cell.state == "parked":
            cell.become("stopped")

    def add(self, name: str, args: tuple[object, ...]) -> Cell:
        """Start one more child of a dynamic supervisor."""
        assert self.spec.template is not None
        cell = self._new_cell(self.spec.template, name, args)
        self.cells[name] = cell
        if self.spec.template.reports_ready:
            self._recover(Recovery([cell]))
        else:
            self.spawn(cell)
        return cell

    @property
    def state(self) -> Literal["starting", "running"]:
        """Whether all children are ready, or known to stay down."""
        return "running" if self._ready.is_set() else "starting"
