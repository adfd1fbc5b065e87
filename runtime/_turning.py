"""One turn of an actor, computed in memory: decode, decide, apply, encode. No I/O, no await."""

from __future__ import annotations

from typing import Any, NamedTuple

from understudy.actors import ActorDefinition, App, DecideTurn, Decision, routed, run_decider

from ._clock import StoreClock
from ._headers import asked, parse, trail
from ._replying import reply_part
from ._resident import Resident, Work
from ._rows import EventRow, Rare, SendRow
from ._sending import Sender
from ._signals import LocalAsk


class Computed(NamedTuple):
    """What a turn came to.

    Attributes:
        error: What it raised; everything else is empty then.
        spoilt: The state was changed by a turn that failed.
    """

    events: list[EventRow]
    sends: list[SendRow]
    rare: list[Rare]
    reply: Any
    stop: bool
    error: Exception | None
    spoilt: bool


class Turning:
    """Computes the turns of one kind of actor."""

    def __init__(self, definition: ActorDefinition, app: App, sender: Sender, clock: StoreClock) -> None:
        self._definition = definition
        self._codec = app.codec
        self._sender = sender
        self._clock = clock
        self._routes = app.routes

    def compute(self, resident: Resident, work: Work) -> Computed:
        """Run one turn on a loaded actor. Its state and sequence number move on if it succeeds."""
        decision = Decision()
        try:
            return self._compute(resident, work, decision)
        except Exception as error:  # noqa: BLE001 - user code may raise anything; it becomes the outcome
            return Computed([], [], [], None, False, error, decision.touched)

    def _compute(self, resident: Resident, work: Work, decision: Decision) -> Computed:
        definition, codec = self._definition, self._codec
        command: object
        headers = parse(work.headers)
        if isinstance(work, LocalAsk):
            message_id, attempt, command = work.id, 1, work.command
        else:
            message_id, attempt = str(work.id), work.attempts + 1
            command = codec.decode_command(work.type, work.version, work.payload)
        turn = DecideTurn(definition.name, resident.key, message_id, self._clock.now(), attempt, headers)
        run_decider(definition, resident.state, command, turn, decision)

        causes = trail(message_id, headers)
        events: list[EventRow] = []
        seq = resident.seq
        if decision.events:
            metadata, check = causes.metadata, self._sender.encoded
            for event in decision.events:
                seq += 1
                name, version, payload = check(codec.encode_event(event))
                events.append(EventRow(definition.name, resident.key, seq, name, version, payload, metadata))
        sends: list[SendRow] = []
        rare: list[Rare] = []
        if decision.events and self._routes:
            decision.sends.extend(routed(self._routes, decision.events, turn))
        if decision.sends:
            sends, later = self._sender.rows(decision.sends, causes)
            rare.extend(later)
        if (remote := asked(headers)) is not None:
            rare.append(reply_part(*remote, codec.encode_reply(type(command), decision.reply)))
        if events and self._snapshot_is_due(resident, seq, decision.events[-1]):
            rare.append(self._snapshot(resident, seq))
        resident.seq = seq
        return Computed(events, sends, rare, decision.reply, decision.stop, None, False)

    def _snapshot_is_due(self, resident: Resident, seq: int, event: object) -> bool:
        definition = self._definition
        every, when = definition.snapshot_every, definition.snapshot_when
        if every is not None and seq - resident.snapshot >= every:
            return True
        return when is not None and when(resident.state, event)

    def _snapshot(self, resident: Resident, seq: int) -> Rare:
        definition = self._definition
        state = self._codec.encode_state(definition, resident.state)
        resident.snapshot = seq
        return Rare(
            "snapshots",
            {
                "actor": definition.name,
                "key": resident.key,
                "seq": seq,
                "state_version": definition.state_version,
                "state": state,
                "keep": definition.snapshot_keep,
            },
        )
