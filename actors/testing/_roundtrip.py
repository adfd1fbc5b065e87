"""Everything a turn reads and writes is sent through the codec, as it would be in production."""

from typing import Any

import attrs

from .._definition import ActorDefinition
from .._effects import Enqueue, Tell
from ..codec import Codec
from ._diff import report


class RoundTrip:
    """Sends values through the codec of one actor and checks that they come back as they were."""

    def __init__(self, definition: ActorDefinition) -> None:
        self._definition = definition
        self._codec = Codec([definition])

    def event(self, event: object) -> Any:
        """Return an event as it comes back from the journal."""
        if type(event) in self._definition.appliers:
            return self._same("event", event, self._codec.decode_event(*self._codec.encode_event(event)))
        self._codec.encode_event(event)
        return event

    def command(self, command: object) -> Any:
        """Return a command as it comes out of the mailbox."""
        if type(command) in self._definition.deciders:
            return self._same(
                "command", command, self._codec.decode_command(*self._codec.encode_command(command))
            )
        return command

    def reply(self, command: object, reply: object) -> None:
        """Check that a reply reaches the asker as it is, and is of the type that the command promises."""
        kind = type(command)
        self._same("reply", reply, self._codec.decode_reply(kind, self._codec.encode_reply(kind, reply)))

    def send(self, effect: Tell | Enqueue) -> Tell | Enqueue:
        """Check that a message can be stored, and return it as it will be read."""
        self._codec.add(type(effect.command))
        encoded = self._codec.encode_command(effect.command)
        command = self._same("command", effect.command, self._codec.decode_command(*encoded))
        return attrs.evolve(effect, command=command)

    def state(self, state: object) -> None:
        """Check that a snapshot of the state comes back as it was, if the actor makes any."""
        definition = self._definition
        if definition.snapshots:
            text = self._codec.encode_state(definition, state)
            self._same("state", state, self._codec.decode_state(definition, definition.state_version, text))

    def _same(self, what: str, value: Any, back: Any) -> Any:
        difference = report(f"the {what} comes back from the codec as something else:", value, back, what)
        if difference:
            raise AssertionError(difference)
        return back
