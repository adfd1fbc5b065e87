"""The purity check: each turn is computed a second time, on what the events alone make, and compared.

If the two differ, a replay after a crash would build another state than the one that was answered from.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, final

from attrs import define

from rolebook.actors import ActorDefinition, Codec, DecideTurn, Decision, failure_of, fold, run_decider
from rolebook.actors.testing import PurityError, content_of, differences

from ..contract import EventRow, text_of


@final
@define(eq=False)
class PurityCheck:
    """Checks the turns of one kind of actor."""

    definition: ActorDefinition
    codec: Codec

    def before(self, state: Any) -> Any:
        """Return what `check` needs to know of the state before a turn: a copy of it."""
        return deepcopy(state)

    def check(  # noqa: PLR0917 - what a turn consists of
        self,
        before: Any,
        state: Any,
        command: object,
        turn: DecideTurn,
        decision: Decision,
        events: Sequence[EventRow],
        error: Exception | None,
    ) -> None:
        """Compute a turn again and compare.

        Args:
            before: The state before the turn, from `before`.
            state: The state after it.
            command: What was decided.
            turn: The turn as it was.
            decision: What was decided, or came to be decided before the error.
            events: Its events as they are stored.
            error: What the decider raised, if it did.

        Raises:
            PurityError: Naming the decider or the applier.
        """
        decider = self.definition.deciders.get(type(command))
        name = decider.name if decider else self.definition.cls.__qualname__
        again, raised = self._again(before, command, turn)
        if found := differences(content_of(decision, error), content_of(again, raised), "turn"):
            raise PurityError(
                name,
                "decided differently when the same turn was run again; use no clock, no dice and no outer"
                f" state but turn.now and turn.random: {'; '.join(found)}",
            )
        if error is None or not events:
            self._replay(before, state, events, name)

    def _again(self, before: Any, command: object, turn: DecideTurn) -> tuple[Decision, Exception | None]:
        again = Decision()
        same = DecideTurn(turn.queue, turn.key, turn.message_id, turn.now, turn.attempt, turn.headers)
        try:
            run_decider(self.definition, deepcopy(before), command, same, again, self._stored)
        except BaseException as error:  # noqa: BLE001 - compared with the first
            return again, failure_of(error)
        return again, None

    def _stored(self, event: object) -> object:
        return self.codec.decode_event(*self.codec.encode_event(event))

    def _replay(self, before: Any, state: Any, events: Sequence[EventRow], name: str) -> None:
        """Compare with the state that the events make, as they will come back from the journal."""
        replayed = deepcopy(before)
        for row in events:
            event = self.codec.decode_event(row.type, row.version, row.payload)
            applier = getattr(self.definition.appliers[type(event)], "__qualname__", name)
            try:
                fold(self.definition, replayed, [event])
            except BaseException as raised:  # noqa: BLE001 - as above
                error = failure_of(raised)
                raise PurityError(applier, f"raised in a replay: {text_of(error)}") from error
        if found := differences(replayed, state, self.definition.cls.__name__):
            raise PurityError(
                name,
                "left a state that a replay of its events does not make; change the state in @apply only,"
                f" from the event alone: {'; '.join(found)}",
            )
