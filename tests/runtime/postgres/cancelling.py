"""Cancel a task at its n-th await."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import trio

_T = TypeVar("_T")


@attrs.define(eq=False)
class CancelAfter(trio.abc.Instrument):
    """Cancels a piece of work when it goes to sleep for the n-th time, or just as it wakes from that.

    Asleep, the cancellation hits the very await; waking, it is found at the next checkpoint, when what was
    waited for has already happened.

    Attributes:
        steps: the n; awaits that do not let other tasks run do not count.
        waking: cancel as the work wakes up.
        fired: whether the work lasted that long.
    """

    steps: int
    waking: bool = False
    fired: bool = False
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _task: trio.lowlevel.Task | None = attrs.field(default=None, init=False)
    _seen: int = attrs.field(default=0, init=False)

    async def run(self, work: Callable[[], Awaitable[_T]]) -> _T | None:
        """Run the work in this task until it ends or is cancelled; None if it was cancelled."""
        self._task = trio.lowlevel.current_task()
        trio.lowlevel.add_instrument(self)
        try:
            with self._scope:
                return await work()
        finally:
            trio.lowlevel.remove_instrument(self)
        return None

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count a sleep; the task is asleep by now."""
        if task is self._task:
            self._seen += 1
            if self._seen == self.steps and not self.waking:
                self._cancel()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """The task is about to run again, with what it waited for."""
        if task is self._task and self._seen == self.steps and self.waking:
            self._cancel()

    def _cancel(self) -> None:
        if not self.fired:
            self.fired = True
            self._scope.cancel()
