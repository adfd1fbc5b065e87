"""`rolebook run --processes N`: several processes of one app, kept up."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Final, final

import trio
from attrs import define, field

from rolebook.actors import Backoff

_log = logging.getLogger("rolebook.run")

HEALTHY: Final = 10.0
"""Seconds after which a process counts as one that works."""

MEMBER: Final = "ROLEBOOK_FLEET_MEMBER"
"""Set in the environment of a process that ends when its standard input does."""


@final
@define(eq=False)
class Upkeep:
    """Decides what becomes of a fleet when one of its processes has ended. Pure but for the dice.

    Attributes:
        backoff: Between two starts of one process.
        code: The exit code of the fleet.
        is_ending: Whether nothing is started any more.
    """

    backoff: Backoff = field(factory=lambda: Backoff(first=0.5, cap=30.0, healthy_after=HEALTHY))
    random: Random = field(factory=Random)
    code: int = 0
    is_ending: bool = False
    _has_worked: bool = False
    _failures: dict[int, int] = field(factory=dict[int, int])

    def ended(self, place: int, code: int, lived: float) -> float | None:
        """Say how long to wait before a process is started again; None: not at all.

        One that fails before any of the fleet has worked for a while would fail again: the fleet ends.

        Args:
            place: Which process.
            code: What it ended with; negative for a signal.
            lived: Seconds.
        """
        self._has_worked = self._has_worked or lived >= HEALTHY
        failed = 128 - code if code < 0 else code
        if self.is_ending or (failed and code > 0 and not self._has_worked):
            self.code = self.code or failed
            self.is_ending = True
            return None
        self._failures[place] = 1 if lived >= self.backoff.healthy_after else self._failures.get(place, 0) + 1
        return self.backoff.delay(self._failures[place], self.random)


@final
@define(eq=False)
class Fleet:
    """Some processes that run the same command.

    Attributes:
        command: What each runs.
        count: How many.
    """

    command: Sequence[str]
    count: int
    upkeep: Upkeep = field(factory=Upkeep)
    _processes: dict[int, trio.Process] = field(factory=dict[int, trio.Process])
    _scope: trio.CancelScope = field(factory=trio.CancelScope)

    async def run(self) -> int:
        """Keep them up until a signal; returns 0 if all ended in order, else the first other exit code."""
        shows = {getattr(signal, "SIGUSR1")} if hasattr(signal, "SIGUSR1") else set[int]()  # noqa: B009
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *shows) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_on, signals)
                async with trio.open_nursery() as kept:
                    for place in range(self.count):
                        kept.start_soon(self._keep, place)
                nursery.cancel_scope.cancel()
        _log.info("all %d processes have ended", self.count)
        return self.upkeep.code

    async def _keep(self, place: int) -> None:
        while not self.upkeep.is_ending:
            began = trio.current_time()
            code = await self._run_one(place)
            lived = trio.current_time() - began
            were_told = self.upkeep.is_ending
            pause = self.upkeep.ended(place, code, lived)
            if pause is None:
                if not were_told:  # a second signal would cancel what they still do
                    self._end(signal.SIGTERM)
                return
            _log.warning("process %d ended with %d: started again in %.1f s", place + 1, code, pause)
            with self._scope:
                await trio.sleep(pause)

    async def _run_one(self, place: int) -> int:
        # A group of its own, so that Ctrl-C reaches it once, from here; and a pipe that ends when we do.
        open_process = partial(
            trio.lowlevel.open_process,
            list(self.command),
            stdin=subprocess.PIPE,
            env={**os.environ, MEMBER: str(place + 1)},
            start_new_session=True,
        )
        process: trio.Process = await open_process()
        self._processes[place] = process
        try:
            return await process.wait()
        finally:
            del self._processes[place]
            if process.returncode is None:
                process.kill()

    async def _pass_on(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number in {signal.SIGINT, signal.SIGTERM}:
                again = self.upkeep.is_ending
                _log.info("%s: %s", signal.Signals(number).name, "cancelling" if again else "stopping all")
                self.upkeep.is_ending = True
            self._end(number)

    def _end(self, number: int) -> None:
        for process in list(self._processes.values()):
            with suppress(ProcessLookupError):
                process.send_signal(number)
        if self.upkeep.is_ending:
            self._scope.cancel()


def end_with_parent() -> None:
    """If this process is one of a fleet, end it in order when the one that keeps the fleet has gone."""
    if MEMBER not in os.environ:
        return

    def watch() -> None:
        while os.read(0, 1024):  # not by sys.stdin: its lock would outlive the interpreter
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="rolebook fleet", daemon=True).start()
