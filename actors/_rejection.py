"""Refusals with data of their own, which reach who asks as they are, from whichever process."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from ._errors import DefinitionError, Rejected
from ._message import Upcaster, attach, make_spec

T = TypeVar("T", bound=Rejected)

_NO_UPCASTERS: Mapping[int, Upcaster] = MappingProxyType({})


def rejection(
    name: str,
    *,
    version: int = 1,
    upcast: Mapping[int, Upcaster] = _NO_UPCASTERS,
    aliases: Iterable[str] = (),
) -> Callable[[type[T]], type[T]]:
    """Give a class of refusals its stored name.

    Who asks gets it as it is, with its data, whichever process the actor runs in: if its app has the class
    among its `messages`. An app that has not, or reads another version, gets a `Rejected` with the same text.

    Args:
        name: What is stored. To rename, keep the old name in `aliases`.
        version: The version of the class's fields.
        upcast: From each older version, a pure function from its stored fields to those of the next version.
        aliases: Older names that are still read.

    Returns:
        A decorator. Write it above `@attrs.define`.

    Raises:
        DefinitionError: A bad name or version, a hole in the chain of upcasters, no attrs class, or no
            subclass of `Rejected`.

    Example:
        >>> from attrs import define
        >>> @rejection("account.overdrawn")
        ... @define
        ... class Overdrawn(Rejected):
        ...     missing: int
        ...
        ...     def __str__(self) -> str:
        ...         return f"{self.missing} are missing"
        >>> Overdrawn(5).reason
        '5 are missing'
    """
    spec = make_spec("rejection", name, version, upcast, aliases)

    def decorate(cls: type[T]) -> type[T]:
        kind: type = cls
        if not issubclass(kind, Rejected):
            raise DefinitionError(f"rejection {name!r}: {cls.__qualname__} is no subclass of Rejected")
        attach(cls, spec)
        return cls

    return decorate
