"""The metadata that `@event`, `@command` and `@rejection` attach to a class: name, version and upcasters."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from ._errors import DefinitionError
from ._keys import check_name, check_version

Upcaster: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the stored fields of one version into those of the next. Pure: same input, same output."""

MessageKind: TypeAlias = Literal["event", "command", "rejection"]

_ATTRIBUTE = "__rolebook_message__"


@attrs.frozen
class MessageSpec:
    """How a class is stored.

    Attributes:
        kind: "event", "command" or "rejection".
        name: The stored name.
        version: The version that is written today.
        upcast: From a version, the function that makes the next one of it.
        aliases: Older names, which are still read.
    """

    kind: MessageKind
    name: str
    version: int
    upcast: Mapping[int, Upcaster]
    aliases: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that is read as this class, today's first."""
        return (self.name, *self.aliases)

    @property
    def readable_versions(self) -> range:
        """Every version that is read: all, or if there are upcasters those from the oldest of them on."""
        return range(min(self.upcast, default=1), self.version + 1)

    def upcasters_from(self, version: int) -> tuple[Upcaster, ...]:
        """Return what leads from a version to today's: nothing where older ones are read as they are."""
        return tuple(self.upcast[each] for each in range(version, self.version)) if self.upcast else ()


def make_spec(
    kind: MessageKind,
    name: str,
    version: int,
    upcast: Mapping[int, Upcaster],
    aliases: Iterable[str],
) -> MessageSpec:
    """Check what a decorator was given.

    Raises:
        DefinitionError: A bad name, a bad version, or upcasters with a hole in their chain.
    """
    names = tuple(check_name(each, kind) for each in (name, *check_aliases(aliases, f"{kind} {name!r}")))
    check_version(version, f"{kind} {name!r}")
    check_chain(f"{kind} {name!r}", version, upcast)
    return MessageSpec(kind, name, version, dict(upcast), names[1:])


def check_aliases(aliases: Iterable[str], what: str) -> tuple[str, ...]:
    """Return aliases as a tuple; one text is a mistake, not a list of letters."""
    if isinstance(aliases, str):
        raise DefinitionError(f"{what}: aliases is a tuple of names: aliases=({aliases!r},)")
    return tuple(aliases)


def check_chain(what: str, version: int, upcast: Mapping[int, Upcaster]) -> None:
    """Check that upcasters lead from the oldest version they know to today's, without a hole."""
    if set(upcast) != set(range(version - len(upcast), version)) or len(upcast) >= version:
        raise DefinitionError(
            f"{what} is version {version}, but its upcasters start from {[*upcast]}: "
            f"give one for each version from the oldest still stored up to {version - 1}"
        )
    for number, function in upcast.items():
        if not callable(function):
            raise DefinitionError(f"{what}: the upcaster from version {number} is not a function")


def attach(cls: type, spec: MessageSpec) -> None:
    """Attach `spec` to `cls`, which must be an attrs class.

    Raises:
        DefinitionError: It is none, it has a stored name already, or a default that all would share.
    """
    if "__attrs_attrs__" not in cls.__dict__:
        raise DefinitionError(
            f"{spec.kind} {spec.name!r}: {cls.__qualname__} is no attrs class; "
            f"write @{spec.kind}(...) above @attrs.frozen"
        )
    if (known := spec_of(cls)) is not None:
        raise DefinitionError(f"{cls.__qualname__} is {known.kind} {known.name!r} already")
    check_defaults(cls, f"{spec.kind} {spec.name!r}")
    setattr(cls, _ATTRIBUTE, spec)


def check_defaults(cls: type, what: str) -> None:
    """Refuse a default that all instances would share and could change, as dataclasses do.

    Raises:
        DefinitionError: Naming the field.
    """
    for field in attrs.fields(cls):
        if type(field.default).__hash__ is None:
            kind = type(field.default).__name__
            raise DefinitionError(
                f"{what}: {cls.__qualname__}.{field.name} has a default that all share, "
                f"{field.default!r:.40}; write attrs.field(factory={kind})"
            )


def spec_of(cls: type) -> MessageSpec | None:
    """Return how `cls` is stored, or None: a subclass of an event is no event by itself."""
    spec: MessageSpec | None = cls.__dict__.get(_ATTRIBUTE)
    return spec
