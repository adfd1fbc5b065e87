"""A recovery: children are stopped in the reverse order, waited for, and started again in order.

The first start of all children is a recovery too, one that finds nothing to stop and does not wait.
A cell belongs to one recovery at most.
A newer recovery takes over what an older one it overlaps with had not yet started, and cancels it.
After each checkpoint a recovery therefore looks whether a cell is still its own.
"""

from typing import TYPE_CHECKING

import attrs
import trio

from ._cell import Cell
from ._events import RestartScheduled

if TYPE_CHECKING:
    from ._supervisor import RunningSupervisor


@attrs.define(eq=False)
class Recovery:
    """Cells that go down and come up together.

    Args:
        cells: Which, in the order of their start.
        delay: The wait between the last stop and the first start, in seconds.
        attempt: Failures in a row that led to it; 0 if it was not a failure.
        culprit: The cell whose failure led to it.
        forced: The cells that are started even if their policy says that they are not restarted.
        parks: Whether the cells stay down, parked.
        is_first: Whether the supervisor is ready once this is done.
    """

    cells: list[Cell]
    delay: float = 0.0
    attempt: int = 0
    culprit: Cell | None = None
    forced: set[Cell] = attrs.field(factory=set[Cell])
    parks: bool = False
    is_first: bool = False
    is_done: bool = attrs.field(default=False, init=False)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _started: set[Cell] = attrs.field(factory=set[Cell], init=False)

    def take_over(self, everybody: list[Cell]) -> None:
        """Make the cells its own, together with all that the recoveries they belonged to had left.

        Args:
            everybody: All cells of the supervisor, in the order of their start.
        """
        olds = {id(cell.recovery): cell.recovery for cell in self.cells if cell.recovery is not None}
        if olds:
            mine = {cell.name for cell in self.cells}
            self.cells = [cell for cell in everybody if cell.name in mine or id(cell.recovery) in olds]
        for old in olds.values():
            self.is_first = self.is_first or old.is_first
            # Somebody waits for these, and nothing else would start them.
            self.forced |= {cell for cell in old.forced if cell.recovery is old}
            old.scope.cancel()
        for cell in self.cells:
            cell.recovery = self

    @property
    def can_be_joined(self) -> bool:
        """Whether it will still look for cells to start."""
        return not (self.is_done or self.parks or self.scope.cancel_called)

    def join(self, cell: Cell) -> None:
        """Let one more cell come up with these, in its place."""
        self.forced.add(cell)
        cell.recovery = self
        if cell.is_alive:
            cell.notify()  # it is taken down and started again: that is a change to whoever waits
        else:
            cell.become("waiting")

    def has_started(self, cell: Cell) -> bool:
        """Whether it has begun to bring this cell up, and does not have to take it down first."""
        return cell in self._started

    def release(self, cell: Cell) -> None:
        """Have no more to do with a cell."""
        cell.recovery = None
        cell.notify()

    async def carry_out(self, supervisor: "RunningSupervisor") -> None:
        """Do it, until it is done or a newer recovery takes over."""
        with self.scope:
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._take_down(supervisor)
            await trio.lowlevel.checkpoint_if_cancelled()
            if self.parks:
                self._park(supervisor)
            else:
                await self._wait(supervisor)
                await self._bring_up(supervisor)
            supervisor.note_recovered(self)

    async def _take_down(self, supervisor: "RunningSupervisor") -> None:
        for cell in reversed(self.cells):
            # A child that somebody stops for good meanwhile must have ended too before the others start.
            if cell.recovery is self or cell.state == "stopping":
                await supervisor.stop(cell)
            if cell.recovery is not self:
                continue
            if self._stays_down(cell):
                self.release(cell)
            elif cell.incarnation > 0:
                cell.become("backing_off")

    def _stays_down(self, cell: Cell) -> bool:
        """Whether it is a temporary child that went down with its group: it is not started a second time."""
        return cell.spec.restart == "temporary" and cell.incarnation > 0 and cell not in self.forced

    def _park(self, supervisor: "RunningSupervisor") -> None:
        for cell in self.cells:
            if cell.recovery is self:
                supervisor.set_parked(cell)

    async def _wait(self, supervisor: "RunningSupervisor") -> None:
        if self.culprit is not None:
            names = tuple(cell.name for cell in self.cells if cell.recovery is self)
            now, path = trio.current_time(), self.culprit.path
            supervisor.records.emit(RestartScheduled(path, now, names, self.attempt, self.delay))
        await trio.sleep(self.delay)

    async def _bring_up(self, supervisor: "RunningSupervisor") -> None:
        while (cell := self._next(supervisor)) is not None:
            if cell.is_alive:  # it joined while somebody was stopping it
                await supervisor.stop(cell)
                continue
            cell.restarts += self.attempt > 0 and cell.incarnation > 0
            self._started.add(cell)
            await self._start(supervisor, cell)
        self.is_done = True

    async def _start(self, supervisor: "RunningSupervisor", cell: Cell) -> None:
        """Start a child, and return when it is ready, or down for good, or to be started here once more."""
        before = cell.times_ready
        supervisor.spawn(cell)
        # A child that fails as soon as it is ready was ready, and one that was stopped may have joined again:
        # else nobody would ever stop waiting for it.
        await supervisor.wait(
            cell,
            lambda cell: (
                cell.is_settled
                or cell.times_ready > before
                or (cell.recovery is self and cell.state != "starting")
            ),
        )

    def _next(self, supervisor: "RunningSupervisor") -> Cell | None:
        cells = supervisor.cells.values() if supervisor.spec.children else self.cells
        return next((cell for cell in cells if cell.recovery is self), None)
