"""A turn of a queue's handler: what user code is given, and how long it may take."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, final

import trio

from rolebook.actors import EffectError, Enqueue, HandlerDefinition, RolebookError, Tell, Turn

from ..contract import (
    CommitUnit,
    Elsewhere,
    LinkCut,
    Message,
    ServerForgot,
    TurnConflict,
    TurnTransaction,
    Verdict,
    parse,
    trail,
)
from ..system import Look, SendCount
from ._context import HandlerContext
from ._failing import name_of

_log = logging.getLogger("rolebook.handler")


@final
class TurnTooLong(RolebookError):
    """A handler took more than `Limits.turn_seconds`."""


@final
class QueueTurn(Turn):
    """The turn of a queue's handler: it can send, and have a transaction of its own."""

    __slots__ = ("_client", "_count", "_lease", "_stack", "_store_transaction", "effects")

    effects: list[Tell | Enqueue]
    _client: Any
    _count: SendCount
    _lease: TurnTransaction | None
    _stack: AsyncExitStack | None

    def begin(self, context: HandlerContext, stack: AsyncExitStack) -> None:
        """Make the turn ready for one run of the handler."""
        self.effects = []
        self._lease = None
        self._stack = stack
        self._client = context.client
        self._count = context.count
        self._store_transaction = context.store.open_turn_transaction

    @property
    def client(self) -> Any:
        """The client of the runtime that runs this handler."""
        self._check_open("turn.client")
        return self._client

    @property
    def lease(self) -> TurnTransaction | None:
        """The transaction the handler asked for."""
        return self._lease

    def send(self, *effects: Tell | Enqueue) -> None:
        """Send messages when this turn commits; not at all if it fails."""
        self._check_open("turn.send()")
        self.effects.extend(effects)

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """Give a connection inside a transaction that commits with this turn.

        Leaving the block commits nothing; the transaction ends when the handler returns.
        """
        return self._connected()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Any]:
        self._check_open("turn.connection()")
        assert self._stack is not None
        if self._lease is None:
            # Until the transaction has ended: an ask is to see what was sent in it, by whichever way.
            self._stack.enter_context(self._count.lending())
            self._lease = await self._stack.enter_async_context(self._store_transaction())
        yield self._lease.connection

    def _check_open(self, what: str) -> None:
        if self._stack is None:
            raise RolebookError(f"this turn is over: {what} was kept beyond the handler")

    def end(self) -> None:
        """The handler has returned: nothing can be asked of this turn any more."""
        self._stack = None


async def run_turn(
    definition: HandlerDefinition,
    context: HandlerContext,
    message: Message,
    unit: CommitUnit,
    come_next: Callable[[Message], Awaitable[None]],
) -> Verdict | None:
    """Run the handler of a queue once for a message.

    Args:
        definition: Whose handler.
        context: What it works with.
        message: What it is given.
        unit: Of the message; what the handler sends is added to it.
        come_next: Waits until what came before it in its key is settled, and a mark of its failure.

    Returns:
        The verdict, if it asked for a transaction of its own: the turn was committed in that. Otherwise None:
        the writer has to commit it.

    Raises:
        BaseException: Whatever the handler raised; nothing is committed.
    """
    limit = context.app.limits.turn_seconds
    command = context.app.codec.decode_command(message.type, message.version, message.payload)
    if not isinstance(command, definition.commands):
        taken = ", ".join(each.__qualname__ for each in definition.commands)
        given = type(command).__qualname__
        raise EffectError(f"the handler of queue {definition.queue!r} takes {taken}, not {given}")
    if not definition.takes_turn:
        await _finish(definition.function(command), limit)
        return None
    headers = parse(message.headers)
    message_id, key, attempt = message.lasting_id, message.key or "", message.attempts + 1
    turn = QueueTurn(message.queue, key, message_id, context.clock.now(), attempt, headers)
    async with AsyncExitStack() as stack:
        turn.begin(context, stack)
        try:
            try:
                await _finish(definition.function(command, turn), limit)
            finally:
                turn.end()
            unit.sends, unit.parts = context.encoder.rows(turn.effects, trail(message_id, headers))
            if turn.lease is None:
                return None
            # The writer commits in order; what commits beside it would overtake.
            await come_next(message)
            return await _commit_own(turn.lease, context, unit)
        except Exception as error:
            if turn.lease is not None and turn.lease.was_cut(error):
                raise LinkCut(f"the link broke: {error}") from error
            raise


async def _commit_own(lease: TurnTransaction, context: HandlerContext, unit: CommitUnit) -> Verdict:
    if unit.lineage is not None and unit.lineage.void:
        return Verdict.VOID  # one before it fell, and has to come first: this transaction is rolled back
    try:
        await lease.commit(unit)
    except TurnConflict as conflict:
        _log.warning("%s was handled elsewhere: %s", name_of(unit.subject), conflict)
        return Verdict.LOST
    except Elsewhere as error:
        assert unit.fence is not None
        context.standing.lose(unit.fence.nonce, str(error))
        return Verdict.LOST
    except ServerForgot:  # which the store has announced: the session ends
        return Verdict.LOST
    context.totals.commits += 1
    context.totals.turns += 1
    context.count.sent({send.queue for send in unit.sends})
    context.fetcher.send_nowait(Look())
    return Verdict.COMMITTED


async def _finish(running: Awaitable[object], seconds: float | None) -> None:
    """Let user code run to its end.

    Args:
        running: The call of a handler.
        seconds: How long it may take; None for as long as it likes.

    Raises:
        TurnTooLong: It took longer, and was cancelled.
        BaseException: Whatever it raised.
    """
    if seconds is None:  # a scope costs a tenth of an empty turn
        await running
        return
    with trio.move_on_after(seconds) as patience:
        await running
    if patience.cancelled_caught:
        raise TurnTooLong(f"the handler was cancelled after {seconds:g} s, the limit of its app's turns")
