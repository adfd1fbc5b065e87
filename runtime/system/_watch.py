"""The watch over the loop: says when one step of a task holds it, with the stack and the message.

While a step runs nothing else of the process does: no health check, no commit, no fetch; and after
`idle_session_timeout` the server ends its session. A thread looks a few times a second how long the present
step has lasted. The loop itself only notes when a step begins and ends.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, final

import trio
from attrs import define, field

if TYPE_CHECKING:
    from ..contract import Message

_log = logging.getLogger("rolebook.watch")


@final
@define(eq=False)
class Hand:
    """What is being handled, for whoever wants to name it.

    Attributes:
        turn: What an actor's turn is being computed for; None between turns.
        messages: What the handlers of queues have in hand, by task.
    """

    turn: Any = None
    messages: dict[trio.lowlevel.Task, Message] = field(factory=dict[trio.lowlevel.Task, "Message"])

    def name(self, task: trio.lowlevel.Task) -> str:
        """Return how to name what a task has in hand."""
        message: Any = self.messages.get(task)
        if message is not None:
            key = "" if message.key is None else f"/{message.key}"
            return f"message {message.id} ({message.type} to {message.queue}{key})"
        if self.turn is not None:
            return f"a turn of {self.turn.key} ({self.turn.type}, {self.turn.id})"
        return f"task {task.name}"


@final
class LoopWatch(trio.abc.Instrument):
    """Watches how long each step of a task takes.

    Args:
        longest: Seconds after which a step is told of.
        hand: What is being handled.
    """

    def __init__(self, longest: float, hand: Hand) -> None:
        self.longest = longest
        self.hand = hand
        self.longest_step: float = 0.0
        """The longest step so far, in seconds."""
        self._step: tuple[trio.lowlevel.Task, float] | None = None
        self._thread = 0
        self._ended = threading.Event()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A step begins."""
        self._step = (task, monotonic())

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """A step has ended."""
        step, self._step = self._step, None
        if step is not None and (took := monotonic() - step[1]) > self.longest_step:
            self.longest_step = took

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch the loop of this task for the length of a block."""
        self._thread = threading.get_ident()
        trio.lowlevel.add_instrument(self)
        watcher = threading.Thread(target=self._watch, name="rolebook loop watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)
            self._ended.set()

    def _watch(self) -> None:
        told: tuple[trio.lowlevel.Task, float] | None = None
        while not self._ended.wait(self.longest / 4):
            step = self._step
            if step is None or step is told or monotonic() - step[1] < self.longest:
                continue
            told = step
            self._tell(*step)

    def _tell(self, task: trio.lowlevel.Task, since: float) -> None:
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "  it has ended meanwhile\n"
        _log.warning(
            "%s has held the loop for %.1f s: nothing else of this process runs, and the server will end its"
            " session. Let a thread do it: await turn.run_sync(function). It is here:\n%s",
            self.hand.name(task),
            monotonic() - since,
            stack,
        )
