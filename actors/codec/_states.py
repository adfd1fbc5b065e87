"""How the states of actors are written to snapshots, and read back only if nothing has changed.

A snapshot carries the digest of its shape, so that one written before a field or a nested class changed is
never read as something else, even if nobody thought of raising `state_version`.
"""

# Values of every type pass through here.
# pyright: reportUnknownVariableType=false

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from .._definition import ActorDefinition
from .._errors import UnknownName
from ._compiled import Decoder, Encoder, Label, decoder, encoder
from ._fingerprint import Fingerprint, digest_of
from ._mismatch import Mismatch
from ._shape import Shape
from ._shapes import Shapes


@attrs.frozen(eq=False)
class StateCodec:
    """How the state of one kind of actor is written and read."""

    definition: ActorDefinition
    write: Encoder
    readers: dict[int, Decoder]

    def reader(self, version: int, payload: str) -> Decoder:
        """Return the decoder of a stored version.

        Raises:
            UnknownName: No upcaster leads from it to today's; `payload` is for this error.
        """
        found = self.readers.get(version)
        if found is None:
            problem = f"this app reads state version {self.definition.state_version}; replay the events"
            raise UnknownName("state", self.definition.name, version, payload, problem)
        return found


class States:
    """The state codecs of an app, made when first asked for."""

    __slots__ = ("_made", "_shapes")

    def __init__(self) -> None:
        self._shapes = Shapes("complete")
        self._made: dict[type, StateCodec] = {}

    def of(self, definition: ActorDefinition) -> StateCodec:
        """Return how the state of an actor is stored.

        Raises:
            DefinitionError: A field has a type that cannot be stored.
        """
        made = self._made.get(definition.cls)
        if made is None:
            made = self._made[definition.cls] = self._make(definition)
        return made

    def names(self) -> Iterator[tuple[str, int]]:
        """Yield every actor's name with each version of its state that can be read."""
        for each in self._made.values():
            for version in each.readers:
                yield each.definition.name, version

    def fingerprints(self) -> Iterator[Fingerprint]:
        """Yield the shape of every state."""
        for each in self._made.values():
            actor = each.definition
            yield Fingerprint("state", actor.name, actor.state_version, self._shape(actor).describe({}))

    def _make(self, definition: ActorDefinition) -> StateCodec:
        shape = self._shape(definition)
        name, current, upcast = definition.name, definition.state_version, definition.state_upcast
        digest = digest_of(shape.describe({}))

        def located() -> Shape:
            return self._shape(definition, self._shapes.located())

        readers = {
            version: decoder(
                Label("state", name, version),
                shape,
                located,
                tuple(upcast[step] for step in range(version, current)),
                unwrap=_unwrapper(digest if version == current else None),
            )
            for version in range(min(upcast, default=current), current + 1)
        }
        write = encoder(Label("state", name, current), shape, located)
        head = f'{{"shape":"{digest}","state":'
        return StateCodec(definition, lambda state: f"{head}{write(state)}}}", readers)

    def _shape(self, definition: ActorDefinition, shapes: Shapes | None = None) -> Shape:
        where = f"the state of actor {definition.name!r}: {definition.cls.__qualname__}"
        return (shapes or self._shapes).of(definition.cls, where)


def _unwrapper(digest: str | None) -> Callable[[Any], Any]:
    """Return what takes the state out of a snapshot, whose shape must have that digest if one is given."""

    def unwrap(raw: Any) -> Any:
        if type(raw) is not dict or raw.keys() != {"shape", "state"}:
            raise Mismatch("expected a snapshot: an object with shape and state")
        if digest is not None and raw["shape"] != digest:
            raise Mismatch(f"the state's shape has changed since (then {raw['shape']}, now {digest})")
        return raw["state"]

    return unwrap
