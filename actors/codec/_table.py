"""The registry of one kind of classes, events or commands: stored name ↔ class."""

from collections.abc import Iterable, Iterator

from .._errors import DefinitionError, NewerVersion, UnknownName
from .._message import MessageKind, MessageSpec, spec_of
from ._changes import fits_as_it_is
from ._classes import Mode
from ._compiled import Decoder, Encoder, Label, decoder, encoder
from ._fingerprint import Drift, Fingerprint
from ._shapes import Shapes

Writer = tuple[str, int, Encoder]


class Table:
    """Classes of one kind by their stored names, and the functions that write and read them.

    Attributes:
        writers: From a class to its name, version and encoder: of those registered, and those only sent.
        readers: From a stored name and version to its decoder, made when it is first asked for.
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
            cls = self._classes.get(name)
            if cls is None or version not in self._spec(cls).readable_versions:
                newer = cls is not None and version > self._spec(cls).version
                error = NewerVersion if newer else UnknownName
                raise error(self._kind, name, version, payload, self._unknown(name))
            found = self.readers[name, version] = self._reader(cls, name, version)
        return found

    def names(self) -> Iterator[tuple[str, int]]:
        """Yield every stored name with each version that is read."""
        for name, cls in self._classes.items():
            for version in self._spec(cls).readable_versions:
                yield name, version

    def fingerprints(self) -> Iterator[Fingerprint]:
        """Yield the shape of every registered class."""
        for cls in dict.fromkeys(self._classes.values()):
            spec = self._spec(cls)
            shape = self._shapes.of(cls, self._where(cls, spec))
            yield Fingerprint(self._kind, spec.name, spec.version, shape.describe({}))

    def misread(self, stored: Iterable[Fingerprint]) -> Iterator[Drift]:
        """Yield each class with an older shape that it reads as it is, and that does not fit."""
        older = [each for each in stored if each.kind == self._kind]
        for now in self.fingerprints():
            spec = self._spec(self._classes[now.name])
            for each in older if not spec.upcast else ():
                fits = fits_as_it_is(each.shape, now.shape, strict=self._kind == "command")
                if each.name in spec.names and each.version < spec.version and not fits:
                    yield Drift(each, now)

    def _reader(self, cls: type, name: str, version: int) -> Decoder:
        spec = self._spec(cls)
        where = self._where(cls, spec)
        return decoder(
            Label(self._kind, name, version),
            self._shapes.of(cls, where),
            lambda: self._shapes.located().of(cls, where),
            spec.upcasters_from(version),
        )

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
