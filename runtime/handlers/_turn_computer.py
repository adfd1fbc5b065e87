"""One turn of an actor, computed in memory: decode, decide, apply, encode. No I/O, no await."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, final

from rolebook.actors import (
    ActorDefinition,
    App,
    DecideTurn,
    Decision,
    Enqueue,
    RolebookError,
    Tell,
    Unencodable,
    failure_of,
    routed,
    run_decider,
)
from rolebook.actors.codec import reply_type

from .._settings import Settings
from ..contract import (
    ONCE,
    SMALL,
    CommitPart,
    EventRow,
    KeepSnapshot,
    SendEncoder,
    SendRow,
    asked,
    once_id,
    parse,
    trail,
)
from ..system import LocalAsk, StoreClock
from ._key_lines import Work
from ._purity import PurityCheck
from ._replying import first_reply_part, reply_part
from ._resident import Resident
from ._traces import Traces

_log = logging.getLogger("rolebook.handler")

FEW = 2
"""Events, and messages, of a turn that are not counted if they are small: there are as many as messages."""


@final
class Computed(NamedTuple):
    """What a turn came to.

    Attributes:
        error: What it raised; everything else is empty then.
        spoilt: The state may have been changed by a turn that failed.
    """

    events: list[EventRow]
    sends: list[SendRow]
    parts: list[CommitPart]
    reply: Any
    stop: bool
    error: Exception | None
    spoilt: bool


@final
class TurnComputer:
    """Computes the turns of one kind of actor."""

    def __init__(
        self,
        definition: ActorDefinition,
        app: App,
        encoder: SendEncoder,
        clock: StoreClock,
        settings: Settings,
    ) -> None:
        self._retention = settings.idempotency_retention
        self._purity = PurityCheck(definition, app.codec) if settings.check_purity else None
        self._snapshot_failed = False
        self._definition = definition
        self._traces = Traces(definition.cls)
        self._look = self._traces.look
        self._codec = app.codec
        self._encoder = encoder
        self._clock = clock
        self._routes = app.routes

    def compute(self, resident: Resident, work: Work) -> Computed:
        """Run one turn on a loaded actor. Its state and sequence number move on if it succeeds."""
        decision, before = Decision(), self._look(resident.state)
        try:
            return self._compute(resident, work, decision)
        except BaseException as error:  # noqa: BLE001 - user code may raise anything; it becomes the outcome
            spoilt = decision.touched or self._traces.may_be_in(resident.state, before)
            return Computed([], [], [], None, False, failure_of(error), spoilt)

    def _compute(self, resident: Resident, work: Work, decision: Decision) -> Computed:
        definition, codec = self._definition, self._codec
        headers = parse(work.headers)
        if isinstance(work, LocalAsk):
            message_id, attempt = work.id, 1
        else:
            message_id, attempt = work.lasting_id, work.attempts + 1
        command = codec.decode_command(work.type, work.version, work.payload)
        turn = DecideTurn(definition.name, resident.key, message_id, self._clock.now(), attempt, headers)
        causes = trail(message_id, headers)
        events: list[EventRow] = []
        seq, check = resident.seq, self._encoder.encoded

        def stored(event: object) -> object:
            """Encode an event at once: what user code does later to a list in it is not part of it."""
            nonlocal seq
            seq += 1
            name, version, payload = check(codec.encode_event(event))
            events.append(
                EventRow(definition.name, resident.key, seq, name, version, payload, causes.metadata)
            )
            return codec.decode_event(name, version, payload)

        sends: list[SendRow] = []
        parts: list[CommitPart] = []

        def sent(effect: Tell | Enqueue) -> None:
            self._encoder.put((effect,), causes, sends, parts)

        if self._purity is None:
            run_decider(definition, resident.state, command, turn, decision, stored, sent)
        else:
            self._checked(self._purity, resident.state, command, turn, decision, stored, sent, events)

        reply = decision.reply
        if events and self._routes:
            decided = [codec.decode_event(each.type, each.version, each.payload) for each in events]
            self._encoder.put(routed(self._routes, decided, turn), causes, sends, parts)
        if headers or isinstance(work, LocalAsk):
            reply = self._reply(resident, work, headers, command, reply, parts)
        if events and definition.snapshots:
            self._snapshot(resident, seq, decision.events[-1], parts)
        resident.seq = seq
        if len(events) > FEW or len(sends) > FEW:
            self._encoder.size += SMALL * (len(events) + len(sends))
        return Computed(events, sends, parts, reply, decision.stop, None, False)

    def _checked(  # noqa: PLR0917 - the parts of one turn
        self,
        purity: PurityCheck,
        state: Any,
        command: object,
        turn: DecideTurn,
        decision: Decision,
        stored: Callable[[object], object],
        sent: Callable[[Tell | Enqueue], None],
        events: Sequence[EventRow],
    ) -> None:
        before = purity.before(state)
        try:
            run_decider(self._definition, state, command, turn, decision, stored, sent)
        except BaseException as error:
            purity.check(before, state, command, turn, decision, events, failure_of(error))
            raise
        purity.check(before, state, command, turn, decision, events, None)

    def _reply(  # noqa: PLR0917 - the parts of one turn, on its hot path
        self,
        resident: Resident,
        work: Work,
        headers: Mapping[str, str],
        command: object,
        reply: object,
        parts: list[CommitPart],
    ) -> object:
        """Check the reply, where somebody gets it now or later, and add the parts that store it.

        Returns:
            What a local asker gets: a value of its own, and nothing of the actor's state.
        """
        remote, once = asked(headers), headers.get(ONCE)
        if remote is None and once is None and not isinstance(work, LocalAsk):
            return None
        try:
            payload = self._codec.encode_reply(type(command), reply)
            self._encoder.size += len(payload)
        except Unencodable as error:
            name, kind = self._definition.name, type(command)
            wanted = f"{kind.__qualname__} is answered with {_shown(reply_type(kind))}"
            problem = f"{error.problem}; by actor {name!r} {wanted}"
            raise Unencodable("reply", error.name, error.where, problem) from error
        if remote is not None:
            parts.append(reply_part(*remote, payload))
        if once is not None:
            name = once_id(self._definition.name, resident.key, once)
            parts.append(first_reply_part(name, payload, self._retention))
        return self._codec.decode_reply(type(command), payload) if isinstance(work, LocalAsk) else None

    def _snapshot_is_due(self, resident: Resident, seq: int, event: object) -> bool:
        definition = self._definition
        every, when = definition.snapshot_every, definition.snapshot_when
        if every is not None and seq - resident.snapshot >= every:
            return True
        return when is not None and when(resident.state, event)

    def _snapshot(self, resident: Resident, seq: int, event: object, parts: list[CommitPart]) -> None:
        """Add a snapshot if one is due. It is a cache: what goes wrong with it does not fail the turn."""
        try:
            if self._snapshot_is_due(resident, seq, event):
                resident.snapshot = seq
                parts.append(self._stored(resident, seq))
        except BaseException as raised:  # noqa: BLE001 - the predicate is user code, and so is what is in a state
            error = failure_of(raised)
            if not self._snapshot_failed:
                self._snapshot_failed = True
                name = self._definition.name
                _log.warning(
                    "actor %s/%s: no snapshot at event %d (%s: %s); the turn is not affected, but actors of"
                    " this kind are replayed from further back. This is said once",
                    name, resident.key, seq, type(error).__name__, error,
                    exc_info=None if isinstance(error, RolebookError) else error,
                )  # fmt: skip

    def _stored(self, resident: Resident, seq: int) -> KeepSnapshot:
        definition = self._definition
        state = self._codec.encode_state(definition, resident.state)
        self._encoder.size += len(state)
        return KeepSnapshot(
            actor=definition.name,
            key=resident.key,
            seq=seq,
            state_version=definition.state_version,
            state=state,
            keep=definition.snapshot_keep,
        )


def _shown(hint: Any) -> str:
    """A type as one writes it."""
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
