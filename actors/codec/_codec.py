"""The codec: from classes to stored text and back, through an explicit registry.

Nothing is ever imported by a name that was found in a database: what is not registered is unknown.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .._actor import ActorDefinition
from .._errors import DefinitionError, UnknownName
from .._message import MessageKind, MessageSpec, spec_of
from ._compiled import Decoder, Encoder, Kind, Label, decoder, encoder
from ._fingerprint import Fingerprint
from ._replies import reply_type
from ._shape import Shape
from ._shapes import Shapes


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


class Codec:
    """Reads and writes the commands, events, states and replies of one app.

    Commands and replies are read strictly: no value is coerced, no unknown field is let through.
    Events are read through their upcasters; a field that today's class does not know is passed over.
    States are read only if they have exactly the fields of today's class.

    Args:
        actors: Whose commands, events and states it reads.
        commands: Further classes of commands it reads.

    Raises:
        DefinitionError: Two classes share a stored name, or a field has a type that would not come back as
            it was.
    """

    def __init__(self, actors: Iterable[ActorDefinition] = (), commands: Iterable[type] = ()) -> None:
        self._strict = Shapes("strict")
        self._tolerant = Shapes("tolerant")
        self._complete = Shapes("complete")
        self._classes: dict[tuple[MessageKind, str], type] = {}
        self._encoders: dict[type, tuple[str, int, Encoder]] = {}
        self._decoders: dict[MessageKind, dict[tuple[str, int], Decoder]] = {"event": {}, "command": {}}
        self._replies: dict[type, tuple[Encoder, Decoder]] = {}
        self._states: dict[type, tuple[ActorDefinition, Encoder, dict[int, Decoder]]] = {}
        for actor in actors:
            self.add_actor(actor)
        for command in commands:
            self.add(command)

    def add_actor(self, definition: ActorDefinition) -> None:
        """Register the commands, events and state of an actor."""
        for message in (*definition.deciders, *definition.appliers):
            self.add(message)
        if definition.snapshots:
            self._state(definition)

    def add(self, cls: type) -> None:
        """Register a class of events or commands. A second time changes nothing.

        Raises:
            DefinitionError: Its stored name is taken, or it cannot be stored.
        """
        spec = _spec(cls)
        for name in spec.names:
            holder = self._classes.get((spec.kind, name))
            if holder is cls:
                return
            if holder is not None:
                raise DefinitionError(
                    f"{spec.kind} {name!r} is the name of both {_path(holder)} and {_path(cls)}; rename one"
                )
        shape = self._shape(cls, spec)
        if spec.kind == "command":
            self._reply(cls)
        for name in spec.names:
            self._classes[spec.kind, name] = cls
        self._decoders[spec.kind].update(_decoders(spec, shape))
        self._encoders[cls] = (
            spec.name,
            spec.version,
            encoder(Label(spec.kind, spec.name, spec.version), shape),
        )

    def encode_command(self, command: object) -> Encoded:
        """Write a command. One that this app only sends, and does not read, will do too.

        Raises:
            Unencodable: A value in it would not come back as it was.
            DefinitionError: Its class has no `@command`.
        """
        name, version, write = self._encoders.get(type(command)) or self._sent_only(type(command), "command")
        return Encoded(name, version, write(command))

    def encode_event(self, event: object) -> Encoded:
        """Write an event.

        Raises:
            Unencodable: A value in it would not come back as it was.
            DefinitionError: Its class has no `@event`.
        """
        name, version, write = self._encoders.get(type(event)) or self._sent_only(type(event), "event")
        return Encoded(name, version, write(event))

    def decode_command(self, name: str, version: int, payload: str) -> Any:
        """Read a command, strictly.

        Raises:
            UnknownName: No class goes by that name and version.
            Undecodable: The payload is not what the class says.
        """
        return self.command_decoder(name, version, payload)(payload)

    def decode_event(self, name: str, version: int, payload: str) -> Any:
        """Read an event, through its upcasters.

        Raises:
            UnknownName: No class goes by that name and version.
            Undecodable: The payload is not what the class says, or an upcaster failed.
        """
        return self.event_decoder(name, version, payload)(payload)

    def event_encoder(self, cls: type) -> Encoder:
        """Return the function that writes events of one class, for batches."""
        return (self._encoders.get(cls) or self._sent_only(cls, "event"))[2]

    def command_encoder(self, cls: type) -> Encoder:
        """Return the function that writes commands of one class, for batches."""
        return (self._encoders.get(cls) or self._sent_only(cls, "command"))[2]

    def event_decoder(self, name: str, version: int, payload: str = "") -> Decoder:
        """Return the function that reads events of one name and version, for batches.

        Raises:
            UnknownName: No class goes by that name and version; `payload` is for this error.
        """
        return self._decoders["event"].get((name, version)) or self._unknown("event", name, version, payload)

    def command_decoder(self, name: str, version: int, payload: str = "") -> Decoder:
        """Return the function that reads commands of one name and version, for batches.

        Raises:
            UnknownName: No class goes by that name and version; `payload` is for this error.
        """
        return self._decoders["command"].get((name, version)) or self._unknown(
            "command", name, version, payload
        )

    def encode_reply(self, command: type, reply: object) -> str:
        """Write the reply to a command.

        Raises:
            Unencodable: It is not of the type that the command is answered with.
        """
        return self._reply(command)[0](reply)

    def decode_reply(self, command: type, payload: str) -> Any:
        """Read the reply to a command.

        Raises:
            Undecodable: It is not of the type that the command is answered with.
        """
        return self._reply(command)[1](payload)

    def encode_state(self, definition: ActorDefinition, state: object) -> str:
        """Write the state of an actor, for a snapshot.

        Raises:
            Unencodable: A value in it would not come back as it was.
            DefinitionError: A field has a type that cannot be stored.
        """
        return self._state(definition)[1](state)

    def decode_state(self, definition: ActorDefinition, version: int, payload: str) -> Any:
        """Read the state of an actor from a snapshot.

        A snapshot is a cache: whatever this raises, replay the events instead.

        Raises:
            UnknownName: It has a version that no upcaster leads from.
            Undecodable: It does not have exactly the fields of today's class.
        """
        read = self._state(definition)[2].get(version)
        if read is None:
            raise UnknownName(
                "state",
                definition.name,
                version,
                payload,
                f"this app reads version {definition.state_version}",
            )
        return read(payload)

    def names(self) -> Iterator[StoredName]:
        """Yield everything that can be read: each kind, name and version."""
        for kind, decoders in self._decoders.items():
            for name, version in decoders:
                yield StoredName(kind, name, version)
        for definition, _, readers in self._states.values():
            for version in readers:
                yield StoredName("state", definition.name, version)

    def fingerprints(self) -> list[Fingerprint]:
        """Return the shape of every registered class at its current version, for `find_drift`."""
        found = [
            Fingerprint(spec.kind, spec.name, spec.version, self._shape(cls, spec).describe({}))
            for cls in self._encoders
            if (spec := _spec(cls)) and (spec.name, spec.version) in self._decoders[spec.kind]
        ]
        return found + [
            Fingerprint("state", each.name, each.state_version, self._state_shape(each).describe({}))
            for each, _, _ in self._states.values()
        ]

    def _sent_only(self, cls: type, kind: MessageKind) -> tuple[str, int, Encoder]:
        spec = _spec(cls)
        if spec.kind != kind:
            raise DefinitionError(
                f"{_path(cls)} is {spec.kind} {spec.name!r}, where the class of a {kind} is wanted"
            )
        made = (
            spec.name,
            spec.version,
            encoder(Label(kind, spec.name, spec.version), self._shape(cls, spec)),
        )
        self._encoders[cls] = made
        return made

    def _shape(self, cls: type, spec: MessageSpec) -> Shape:
        shapes = self._tolerant if spec.kind == "event" else self._strict
        return shapes.of(cls, f"{spec.kind} {spec.name!r}: {cls.__qualname__}")

    def _reply(self, command: type) -> tuple[Encoder, Decoder]:
        made = self._replies.get(command)
        if made is None:
            spec = _spec(command)
            shape = self._strict.of(
                reply_type(command), f"command {spec.name!r}: the reply of {command.__qualname__}"
            )
            label = Label("reply", spec.name, spec.version)
            made = self._replies[command] = (encoder(label, shape), decoder(label, shape))
        return made

    def _state(self, definition: ActorDefinition) -> tuple[ActorDefinition, Encoder, dict[int, Decoder]]:
        made = self._states.get(definition.cls)
        if made is None:
            shape = self._state_shape(definition)
            current, upcast = definition.state_version, definition.state_upcast
            readers = {
                version: decoder(
                    Label("state", definition.name, version),
                    shape,
                    tuple(upcast[step] for step in range(version, current)),
                )
                for version in range(min(upcast, default=current), current + 1)
            }
            write = encoder(Label("state", definition.name, current), shape)
            made = self._states[definition.cls] = (definition, write, readers)
        return made

    def _state_shape(self, definition: ActorDefinition) -> Shape:
        return self._complete.of(
            definition.cls, f"the state of actor {definition.name!r}: {definition.cls.__qualname__}"
        )

    def _unknown(self, kind: MessageKind, name: str, version: int, payload: str) -> Any:
        cls = self._classes.get((kind, name))
        if cls is None:
            problem = (
                f"this app knows no {kind} of that name; register its class, or add the name to its aliases"
            )
        else:
            known = _spec(cls).readable_versions
            problem = f"this app reads its versions {known.start} to {known.stop - 1}; deploy the newer app, or add an upcaster"
        raise UnknownName(kind, name, version, payload, problem)


def _decoders(spec: MessageSpec, shape: Shape) -> Iterator[tuple[tuple[str, int], Decoder]]:
    for name in spec.names:
        for version in spec.readable_versions:
            steps = tuple(spec.upcast[each] for each in range(version, spec.version))
            yield (name, version), decoder(Label(spec.kind, name, version), shape, steps)


def _spec(cls: type) -> MessageSpec:
    spec = spec_of(cls)
    if spec is None:
        raise DefinitionError(
            f"{_path(cls)} has no stored name; write @event(...) or @command(...) above @attrs.frozen"
        )
    return spec


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
