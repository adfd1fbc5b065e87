"""The codec: from classes to stored text and back, through an explicit registry.

Nothing is ever imported by a name that was found in a database: what is not registered is unknown.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, final

import attrs

from .._definition import ActorDefinition
from .._errors import DefinitionError, Kind, Rejected
from .._message import spec_of
from ._fingerprint import Drift, Fingerprint
from ._replies import Replies
from ._states import States
from ._table import Table, Writer, path


@final
class Encoded(NamedTuple):
    """A message as it is stored. A tuple, because one is made per message.

    Attributes:
        name: The stored name of its class.
        version: The version of its class.
        payload: JSON text.
    """

    name: str
    version: int
    payload: str


@final
class StoredName(NamedTuple):
    """One thing that can be read.

    Attributes:
        kind: "event", "command" or "state".
        name: The stored name.
        version: The stored version.
    """

    kind: Kind
    name: str
    version: int


@final
class Codec:
    """Reads and writes the commands, events, states and replies of one app.

    Commands and replies are read strictly: no value is coerced, no unknown field is let through.
    Events are read through their upcasters; a field that today's class does not know is passed over.
    States are read only if they have exactly the fields of today's class.

    Args:
        actors: Whose commands, events and states it reads.
        messages: Further classes of events and commands it reads.

    Raises:
        DefinitionError: Two classes share a stored name, or a field has a type that would not come back as
            it was.
    """

    def __init__(self, actors: Iterable[ActorDefinition] = (), messages: Iterable[type] = ()) -> None:
        self._events = Table("event", "tolerant")
        self._commands = Table("command", "strict")
        self._rejections = Table("rejection", "tolerant")
        self._replies = Replies()
        self._states = States()
        for actor in actors:
            self.add_actor(actor)
        for message in messages:
            self.add(message)

    def add_actor(self, definition: ActorDefinition) -> None:
        """Register the commands, events and state of an actor.

        Raises:
            DefinitionError: As for the class itself.
        """
        for message in (*definition.deciders, *definition.appliers):
            self.add(message)
        if definition.snapshots:
            self._states.of(definition)

    def add(self, cls: type) -> None:
        """Register a class of events or commands. A second time changes nothing.

        Raises:
            DefinitionError: It has no stored name, the name is taken, or a field of it or of its reply cannot
                be stored.
        """
        spec = spec_of(cls)
        if spec is None:
            raise DefinitionError(
                f"{path(cls)} has no stored name; write @event(...) or @command(...) above @attrs.frozen"
            )
        if spec.kind == "event":
            self._events.add(cls)
        elif spec.kind == "rejection":
            self._rejections.add(cls)
        else:
            self._commands.add(cls)
            self._replies.of(cls)

    def encode_command(self, command: object) -> Encoded:
        """Write a command. One that this app only sends, and does not read, will do too.

        Raises:
            Unencodable: A value in it would not come back as it was.
            DefinitionError: Its class has no `@command`.
        """
        kind = type(command)
        name, version, write = self._commands.writers.get(kind) or self._commands.writer(kind)
        return Encoded(name, version, write(command))

    def encode_event(self, event: object) -> Encoded:
        """Write an event.

        Raises:
            Unencodable: A value in it would not come back as it was.
            DefinitionError: Its class has no `@event`.
        """
        kind = type(event)
        name, version, write = self._events.writers.get(kind) or self._events.writer(kind)
        return Encoded(name, version, write(event))

    def decode_command(self, name: str, version: int, payload: str) -> Any:
        """Read a command, strictly.

        Raises:
            UnknownName: No class goes by that name and version.
            Undecodable: The payload is not what the class says.
        """
        commands = self._commands
        return (commands.readers.get((name, version)) or commands.reader(name, version, payload))(payload)

    def decode_event(self, name: str, version: int, payload: str) -> Any:
        """Read an event, through its upcasters.

        Raises:
            UnknownName: No class goes by that name and version.
            Undecodable: The payload is not what the class says, or an upcaster failed.
        """
        events = self._events
        return (events.readers.get((name, version)) or events.reader(name, version, payload))(payload)

    def command_writer(self, cls: type) -> Writer:
        """Return the name and version of a class of commands, and the function that writes them.

        Raises:
            DefinitionError: It has no `@command`.
        """
        return self._commands.writers.get(cls) or self._commands.writer(cls)

    def encode_reply(self, command: type, reply: object) -> str:
        """Write the reply to a command.

        Args:
            command: The class of the command.
            reply: What its decider returned.

        Raises:
            Unencodable: It is not of the type that the command is answered with.
        """
        return self._replies.of(command)[0](reply)

    def decode_reply(self, command: type, payload: str) -> Any:
        """Read the reply to a command.

        Raises:
            Undecodable: It is not of the type that the command is answered with.
        """
        return self._replies.of(command)[1](payload)

    def encode_rejection(self, rejection: Rejected) -> Encoded | None:
        """Write a refusal with data of its own; None if its class is not registered.

        Raises:
            Unencodable: A value in it would not come back as it was.
        """
        kind = type(rejection)
        if spec_of(kind) is None or not self._rejections.has(kind):
            return None
        name, version, write = self._rejections.writer(kind)
        return Encoded(name, version, write(rejection))

    def decode_rejection(self, name: str, version: int, payload: str) -> Rejected:
        """Read a refusal with data of its own.

        Raises:
            UnknownName: No class goes by that name and version.
            Undecodable: The payload is not what the class says, or an upcaster failed.
        """
        rejection: Rejected = self._rejections.reader(name, version, payload)(payload)
        # As attrs does in an `__init__` of an exception, which is not called by who reads.
        kind: Any = type(rejection)
        rejection.args = tuple(getattr(rejection, each.name) for each in attrs.fields(kind))
        return rejection

    def encode_state(self, definition: ActorDefinition, state: object) -> str:
        """Write the state of an actor, for a snapshot.

        Raises:
            Unencodable: A value in it would not come back as it was.
            DefinitionError: A field has a type that cannot be stored.
        """
        return self._states.of(definition).write(state)

    def decode_state(self, definition: ActorDefinition, version: int, payload: str) -> Any:
        """Read the state of an actor from a snapshot.

        A snapshot is a cache: whatever error this raises, replay the events instead.

        Raises:
            UnknownName: It has a version that no upcaster leads from.
            Undecodable: It does not have exactly the fields of today's class.
        """
        return self._states.of(definition).reader(version, payload)(payload)

    def names(self) -> Iterator[StoredName]:
        """Yield everything that can be read: each kind, name and version."""
        yield from (StoredName("event", *each) for each in self._events.names())
        yield from (StoredName("command", *each) for each in self._commands.names())
        yield from (StoredName("state", *each) for each in self._states.names())

    def fingerprints(self) -> list[Fingerprint]:
        """Return the shape of every registered class at its current version, for `find_drift`."""
        return [
            *self._events.fingerprints(),
            *self._commands.fingerprints(),
            *self._states.fingerprints(),
        ]

    def misread(self, stored: Iterable[Fingerprint]) -> list[Drift]:
        """Return every class that reads an older version as it is, for want of an upcaster, but cannot.

        Args:
            stored: The shapes that the store knows, of any version.
        """
        known = list(stored)
        return [*self._events.misread(known), *self._commands.misread(known)]
