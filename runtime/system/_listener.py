"""The listener: hears the doorbell, and proves at intervals that it still can."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Literal, TypeAlias, final

import trio
from attrs import define

from .._settings import Settings
from ..contract import OWNERS, ListenSession, ServerForgot, Store
from ._life import Life
from ._signals import FetcherSignal, Look, LookAtOwners
from ._standing import FORGOTTEN, SessionLost, Standing

_log = logging.getLogger("rolebook.listener")

ListenerState: TypeAlias = Literal["listening", "degraded", "polling"]
"""listening: notifications arrive. polling: they cannot; the mailbox is looked at every `poll_interval`.
degraded: the session is down and being opened again."""


@final
@define(eq=False)
class Listener:
    """Turns notifications into looks, for every queue of the process over one connection.

    A notification is a hint and nothing more: whatever it says, the answer is
    to look. So a lost one costs a wait of `poll_interval`, and never a message.

    Attributes:
        standing: What everything of this process stands on.
        proves: Whether that is this session: nothing else of this process owns anything.
    """

    store: Store
    settings: Settings
    process: str
    life: Life
    fetcher: trio.MemorySendChannel[FetcherSignal]
    on_reply: Callable[[], None]
    on_schedule: Callable[[float | None], None]
    on_resume: Callable[[str], None]
    standing: Standing
    proves: bool = False
    state: ListenerState = "degraded"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; a broken link or a failed health check ends it, and the session with it."""
        try:
            async with self.store.open_listen_session(self.life.number) as session:
                with self.standing.held(await session.prove()) if self.proves else nullcontext():
                    await self._listen(session)
                    task_status.started()
                    await self._serve(session)
        except ServerForgot:  # which the store has announced
            raise SessionLost(FORGOTTEN) from None
        finally:
            self.state = "degraded"

    async def _serve(self, session: ListenSession) -> None:
        next_check = trio.current_time() + self.settings.health_interval
        while True:
            await self._hear(session, min(next_check - trio.current_time(), self.settings.poll_interval))
            if trio.current_time() < next_check:
                continue
            await session.check()
            if not session.listening:
                await self._listen(session)
            next_check = trio.current_time() + self.settings.health_interval

    async def _listen(self, session: ListenSession) -> None:
        await session.retry()
        before, self.state = self.state, "listening" if session.listening else "polling"
        if self.state == "polling" and before != "polling":
            _log.warning(
                "notifications are not available (a pooler in between, or no permission):"
                " looking every %g s instead",
                self.settings.poll_interval,
            )
        elif self.state == "listening":
            _log.info("listening")
        # After LISTEN, never before: what was sent while nobody listened rang no bell that we heard, and a
        # look before it would leave a gap.
        self._look_everywhere()

    async def _hear(self, session: ListenSession, rest: float) -> None:
        if rest <= 0:
            return
        due = trio.current_time() + rest
        try:
            if not session.listening:
                await trio.sleep(rest)
                return
            # Exhausted each time: to leave early would drop the rest of what has arrived.
            async for hint in session.hints(rest):
                self._route(hint)
        finally:
            self.life.overslept(trio.current_time() - due, self.settings.idle_session_timeout * 0.9)

    def _route(self, hint: str) -> None:
        if hint.startswith("@"):
            self.on_schedule(float(hint[1:]) if hint[1:] else None)
        elif hint.startswith("!"):
            if hint[1:] == self.process:
                self.on_reply()
        elif hint.startswith("+"):
            self.on_resume(hint[1:])
        elif hint == OWNERS:
            self._tell(LookAtOwners())
        else:
            self._tell(Look(rung=True))

    def _look_everywhere(self) -> None:
        self._tell(Look())
        self._tell(LookAtOwners())
        self.on_schedule(None)
        self.on_reply()

    def _tell(self, signal: FetcherSignal) -> None:
        with suppress(trio.WouldBlock):  # a client has no fetcher
            self.fetcher.send_nowait(signal)
