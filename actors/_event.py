"""Events: the facts that an actor decided, kept for ever."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from ._message import Upcaster, attach, make_spec

T = TypeVar("T")

_NO_UPCASTERS: Mapping[int, Upcaster] = MappingProxyType({})


def event(
    name: str,
    *,
    version: int = 1,
    upcast: Mapping[int, Upcaster] = _NO_UPCASTERS,
    aliases: Iterable[str] = (),
) -> Callable[[type[T]], type[T]]:
    """Give a class of events its stored name.

    Args:
        name: What is stored. It never changes; to rename, keep the old name in `aliases`.
        version: The version of the class's fields. Raise it whenever they change.
        upcast: From each older version, a pure function from its stored fields to those of the next version.
            With none at all, older versions are read as they are, and new fields get their defaults.
        aliases: Older names that are still read.

    Returns:
        A decorator. Write it above `@attrs.frozen`.

    Raises:
        DefinitionError: A bad name or version, a hole in the chain of upcasters, or no attrs class.

    Example:
        >>> from attrs import frozen
        >>> @event("account.deposited", version=2, upcast={1: lambda old: old | {"currency": "EUR"}})
        ... @frozen
        ... class Deposited:
        ...     amount: int
        ...     currency: str
    """
    spec = make_spec("event", name, version, upcast, aliases)

    def decorate(cls: type[T]) -> type[T]:
        attach(cls, spec)
        return cls

    return decorate
