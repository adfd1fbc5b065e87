"""Asking: straight to the handler if the actor is this process's, through the mailbox if it is another's."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any, final

import trio
from attrs import define, field, frozen

from rolebook.actors import Command, RolebookError, Tell

from ..contract import (
    ASK,
    ASKER,
    ONCE,
    NotOwner,
    Promise,
    Repeated,
    SendRow,
    around,
    once_id,
    read_outcome,
)
from ..system import LocalAsk, Look
from ._errors import UnknownQueue
from ._sending import OutsideSender


@final
@frozen
class Question:
    """A command, whom it is for, and what travels with it.

    Attributes:
        ours: Headers of the runtime's own.
    """

    actor: str
    key: str
    command: Command[Any]
    headers: Mapping[str, str]
    ours: Mapping[str, str]


@final
@define(eq=False)
class Asking:
    """Asks the actors of one app."""

    outside: OutsideSender
    # A process may come back under its name: its asks are others all the same.
    _life: str = field(factory=lambda: uuid.uuid4().hex[:12])
    _ids: count[int] = field(factory=count)

    async def ask(self, question: Question) -> Any:
        """Ask, and wait for the reply."""
        # The same for both ways: what is refused does not depend on where the actor is.
        about = (question.actor, question.key, question.command)
        tell = Tell(*about, headers=question.headers) if question.headers else Tell(*about)
        ((row,), _) = self.outside.encoder.rows([tell], None)
        if question.actor in self.outside.context.inboxes:
            # If not the owner: the turn has not begun, or was void. The mailbox knows the way.
            with suppress(NotOwner):
                return await self._ask_here(question, row)
        return await self._ask_elsewhere(question, row)

    async def ask_once(
        self, actor: str, key: str, command: Command[Any], headers: Mapping[str, str], idempotency_key: str
    ) -> Any:
        """Ask unless it was asked before; then give the first outcome."""
        context = self.outside.context
        once = once_id(actor, key, idempotency_key)
        while True:
            outcome = await context.store.outcome(once)
            if outcome is not None:
                context.count.sent_anywhere()
                return read_outcome(context.app.codec, type(command), outcome)
            with suppress(Repeated):  # somebody else was first, after this looked
                return await self.ask(Question(actor, key, command, headers, {ONCE: idempotency_key}))

    async def _ask_here(self, question: Question, row: SendRow) -> Any:
        context = self.outside.context
        promise = Promise()
        ask_id = f"{context.process}/{self._life}/{next(self._ids)}"
        travels = question.headers or question.ours
        headers = around(question.headers, question.ours) if travels else None
        # What this process sent to the actor before is on its way through the mailbox. The ask names the
        # latest commit that sent there, and the handler holds it back until that was delivered. What
        # callers sent on their own connections is counted here, because nobody says when those commit.
        if context.count.take_stock(question.actor, context.store.has_ended):
            context.fetcher.send_nowait(Look())
        after = context.count.of(question.actor)
        command = (row.type, row.version, row.payload)
        ask = LocalAsk(question.key, *command, promise, ask_id, headers, after)
        context.inboxes[question.actor].send_nowait(ask)
        return await promise.wait()

    async def _ask_elsewhere(self, question: Question, row: SendRow) -> Any:
        context = self.outside.context
        if question.actor in context.app.handlers or not await self.outside.is_served(question.actor):
            raise UnknownQueue(question.actor, tuple(context.app.actors))
        ask_id = f"{context.process}/{uuid.uuid4().hex}"
        headers = around(question.headers, {**question.ours, ASK: ask_id, ASKER: context.process})
        forgot = context.standing.forgot
        await self.outside.commit([row._replace(headers=headers)], ())
        while True:
            found = context.standing.forgot
            # Before the look for the reply: what is in neither place, in this order, is nowhere.
            is_gone = found is not forgot and not await self._is_there(question, ask_id)
            forgot = found
            # Taken before the look: a reply that comes between the look and the wait sets this very event.
            replied = context.replies.arrived
            outcome = await self._look(ask_id)
            if outcome is not None:
                # What the actor told in that turn is there: it comes before what the asker asks next.
                context.count.sent_anywhere()
                return read_outcome(context.app.codec, type(question.command), outcome)
            if is_gone:
                assert forgot is not None
                raise forgot
            with trio.move_on_after(context.settings.poll_interval):
                await replied.wait()

    async def _is_there(self, question: Question, ask_id: str) -> bool:
        """Say whether a question that was committed before a server forgot is among what it still knows."""
        return await self.outside.context.store.has_question(question.actor, question.key, ask_id)

    async def _look(self, ask_id: str) -> str | None:
        """Look for a reply, as long as the client is open."""
        context = self.outside.context
        try:
            if context.replies.over is None:
                return await context.store.outcome(ask_id)
        except RolebookError:  # its connections are closed, under this look
            if context.replies.over is None:
                raise
        raise context.replies.over from None
