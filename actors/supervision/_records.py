"""What a supervisor remembers and tells: failures, windows, attempts, events and log lines."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

import attrs
import trio

from .._errors import RolebookError
from ._cell import Cell
from ._errors import ChildFailed, GaveUp
from ._events import ChildCrashed, ChildParked, ChildStuck, EventHub, SupervisionEvent, SupervisorGaveUp
from ._policy import History
from ._spec import Child, Supervisor
from ._stack import stack_of

log = logging.getLogger("rolebook.supervision")


@attrs.define(eq=False)
class Records:
    """The memory of a running supervisor.

    Under `one_for_one` attempts are counted per child, else for the group: there all suffer from one failure.
    """

    spec: Supervisor
    path: str
    hub: EventHub
    whole_since: float | None = attrs.field(default=None, init=False)
    _failures: list[ChildFailed] = attrs.field(factory=list[ChildFailed], init=False)
    _window: tuple[float, ...] = attrs.field(default=(), init=False)
    _attempts: int = attrs.field(default=0, init=False)

    # History, for decisions

    @property
    def _is_group(self) -> bool:
        return self.spec.strategy != "one_for_one"

    @property
    def _counts_alone(self) -> bool:
        # Parking is a judgement on one child: it must not fall on the one that happens to fail last.
        return not self._is_group and self.spec.on_exhausted == "park"

    def history(self, cell: Cell, siblings: Iterable[Cell]) -> History:
        """Return what a decision about this child needs to know."""
        attempts = self._attempts if self._is_group else cell.attempts
        window = cell.window if self._counts_alone else self._window
        return History(window, attempts, self._significant_left(cell, siblings))

    def _significant_left(self, ended: Cell, siblings: Iterable[Cell]) -> int:
        if self.spec.auto_shutdown != "all_significant":
            return 0
        others = (cell for cell in siblings if cell is not ended and cell.spec.significant)
        return sum(cell.state not in ("finished", "failed", "stopped", "parked") for cell in others)

    def healthy_for(self, ready_at: float | None, now: float) -> float | None:
        """Return for how long the child, or the group, had been healthy, in seconds."""
        since = self.whole_since if self._is_group else ready_at
        return None if since is None else now - since

    def remember(self, cell: Cell, history: History) -> None:
        """Keep the history after a decision to restart."""
        if self._is_group:
            self._attempts = history.attempts
        else:
            cell.attempts = history.attempts
        if self._counts_alone:
            cell.window = history.restarts
        else:
            self._window = history.restarts

    def forget(self, cells: Iterable[Cell]) -> None:
        """Give these children, and their group, a clean record."""
        for cell in cells:
            cell.attempts, cell.window = 0, ()
        if self._is_group:
            self._attempts, self._window = 0, ()

    # Events, for people

    def emit(self, event: SupervisionEvent) -> None:
        """Tell everybody who listens."""
        self.hub.emit(event)

    def note_failure(
        self,
        cell: Cell,
        error: Exception,
        attempt: int,
        *,
        counts: bool = False,
        delay: float | None = None,
    ) -> None:
        """Keep and tell a failure.

        Args:
            cell: The child.
            error: Its error.
            attempt: Failures in a row, this one included; 0 for an error during the stop.
            counts: Whether the child is to be restarted, so that the failure may lead to giving up.
            delay: Seconds until it is, as far as that is known.
        """
        now = trio.current_time()
        failure = cell.failure = ChildFailed(cell.path, attempt, now, datetime.now(UTC), [error])
        if counts and self.spec.max_restarts is not None and self.spec.on_exhausted == "escalate":
            recent = (each for each in self._failures if now - each.at <= self.spec.within)
            self._failures = [*recent, failure]
        teller = cell.spec.teller if isinstance(cell.spec, Child) else None
        if teller is None or not teller.failed(failure, delay):
            _log_failure(failure, error)
        self.emit(ChildCrashed(cell.path, now, error, attempt))

    def note_recovered(self, cells: Iterable[Cell]) -> None:
        """Tell those who tell of failures that these children run, if they all do."""
        children = list(cells)
        if any(cell.state == "backing_off" for cell in children):
            return  # one was ready for a moment, and its next recovery will say so
        for cell in children:
            if cell.state == "running" and isinstance(cell.spec, Child) and cell.spec.teller is not None:
                cell.spec.teller.recovered(cell.path)

    def note_parked(self, cell: Cell) -> None:
        """Tell that a child stays down until it is resumed."""
        log.error("child %s is parked: %s; resume it by name", cell.path, self.exhaustion)
        self.emit(ChildParked(cell.path, trio.current_time()))

    def note_gave_up(self) -> None:
        """Tell that this supervisor gives up."""
        log.error("supervisor %s gave up: %s", self.path, self.exhaustion)
        self.emit(SupervisorGaveUp(self.path, trio.current_time(), self.exhaustion))

    def note_stuck(self, cell: Cell) -> None:
        """Tell, once per incarnation, where a child stands that was cancelled and does not end."""
        if cell.reported or cell.task is None:
            return
        cell.reported = True
        stack = stack_of(cell.task)
        log.warning("child %s was cancelled and does not end; it stands at\n%s", cell.path, stack)
        self.emit(ChildStuck(cell.path, trio.current_time(), stack))

    @property
    def exhaustion(self) -> str:
        """What was used up, in words."""
        return f"more than {self.spec.max_restarts} restarts within {self.spec.within:g} s"

    def gave_up(self) -> GaveUp:
        """Return the error that holds the history of failures."""
        return GaveUp(self.path, self.exhaustion, list(self._failures))


def _log_failure(failure: ChildFailed, error: Exception) -> None:
    if isinstance(error, GaveUp):
        # Each failure in it was told when it happened: its history again would be the same pages once more.
        log.error("%s: %s", failure.message, error.message)
    elif isinstance(error, RolebookError) and not isinstance(error, ExceptionGroup) and not error.__cause__:
        # It says what is wrong and what to do: where it was raised is of no interest.
        log.error("%s: %s", failure.message, error)
    else:
        log.error("%s", failure.message, exc_info=error)
