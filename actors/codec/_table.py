"""The registry of one kind of classes, events or commands: stored name ↔ class."""

from collections.abc import Iterator

from .._errors import DefinitionError, UnknownName
from .._message import MessageKind, MessageSpec, spec_of
from ._classes import Mode
from ._compiled import Decoder, Encoder, Label, decoder, encoder
from ._fingerprint import Fingerprint
from ._shapes import Shapes

Writer = tuple[str, int, Encoder]


class Table:
    """Classes of one kind by their stored names, and the functions that write and read them.

    Attributes:
        writers: From a class to its name, version and encoder: of those registered, and those only sent.
        readers: From a stored name and version to its decoder.
    """

    __slots__ = ("_classes", "_kind", "_shapes", "readers", "writers")

    def __init__(self, kind: MessageKind, mode: Mode) -> None:
        self._kind: MessageKind = kind
        self._shapes = Shapes(mode)
        self._classes: dict[str, type] = {}
        self.writers: dict[type, Writer] = {}
        self.readers: dict[tuple[str, int], Decoder] = {}

    def add(self, cls: type) -> None:
        """Register a class. A second time changes nothing.

        Raises:
            DefinitionError: Its stored name is taken, or it cannot be stored.
        """
        spec = self._spec(cls)
        for name in spec.names:
            holder = self._classes.get(name, cls)
            if holder is not cls:
                raise DefinitionError(
                    f"{self._kind} {name!r} is the name of both {path(holder)} and {path(cls)}; rename one"
                )
        self.writer(cls)
        for name in spec.names:
            self._classes[name] = cls
            self.readers |= self._readers(cls, spec, name)

    def has(self, cls: type) -> bool:
        """Say whether a class is registered."""
        return any(each is cls for each in self._classes.values())

    def writer(self, cls: type) -> Writer:
        """Return the name, version and encoder of a class, registered or not: what is sent need not be read.

        Raises:
            DefinitionError: It has no stored name of this kind, or cannot be stored.
        """
        made = self.writers.get(cls)
        if made is None:
            spec = self._spec(cls)
            where = self._where(cls, spec)
            label = Label(self._kind, spec.name, spec.version)
            shape = self._shapes.of(cls, where)
            write = encoder(label, shape, lambda: self._shapes.located().of(cls, where))
            made = self.writers[cls] = (spec.name, spec.version, write)
        return made

    def reader(self, name: str, version: int, payload: str) -> Decoder:
        """Return the decoder of a stored name and version.

        Raises:
            UnknownName: No class goes by them; `payload` is for this error.
        """
        found = self.readers.get((name, version))
        if found is None:
            raise UnknownName(self._kind, name, version, payload, self._unknown(name))
        return found

    def fingerprints(self) -> Iterator[Fingerprint]:
        """Yield the shape of every registered class."""
        for cls in dict.fromkeys(self._classes.values()):
            spec = self._spec(cls)
            shape = self._shapes.of(cls, self._where(cls, spec))
            yield Fingerprint(self._kind, spec.name, spec.version, shape.describe({}))

    def _readers(self, cls: type, spec: MessageSpec, name: str) -> dict[tuple[str, int], Decoder]:
        where = self._where(cls, spec)
        shape = self._shapes.of(cls, where)
        return {
            (name, version): decoder(
                Label(self._kind, name, version),
                shape,
                lambda: self._shapes.located().of(cls, where),
                tuple(spec.upcast[each] for each in range(version, spec.version)),
            )
            for version in spec.readable_versions
        }

    def _where(self, cls: type, spec: MessageSpec) -> str:
        return f"{self._kind} {spec.name!r}: {cls.__qualname__}"

    def _spec(self, cls: type) -> MessageSpec:
        spec = spec_of(cls)
        if spec is None:
            raise DefinitionError(
                f"{path(cls)} has no stored name; write @{self._kind}(...) above @attrs.frozen"
            )
        if spec.kind != self._kind:
            raise DefinitionError(
                f"{path(cls)} is {spec.kind} {spec.name!r}, where the class of a {self._kind} is wanted"
            )
        return spec

    def _unknown(self, name: str) -> str:
        cls = self._classes.get(name)
        if cls is None:
            return f"this app knows no {self._kind} of that name; register its class, or give it as an alias"
        known = self._spec(cls).readable_versions
        versions = f"version {known[0]}" if len(known) == 1 else f"versions {known[0]} to {known[-1]}"
        return f"this app reads {versions} of it; deploy a newer app, or add the missing upcasters"


def path(cls: type) -> str:
    """Return a class's full name, for errors."""
    return f"{cls.__module__}.{cls.__qualname__}"
