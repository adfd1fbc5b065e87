"""Commands: what an actor or a queue handler is asked to do."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from ._message import Upcaster, attach, make_spec

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

_NO_UPCASTERS: Mapping[int, Upcaster] = MappingProxyType({})


class Command(Generic[R_co]):
    """The base of commands that are answered with an `R`.

    Example:
        >>> from attrs import frozen
        >>> @command("account.deposit")
        ... @frozen
        ... class Deposit(Command[int]):
        ...     amount: int
    """

    __slots__ = ()


def command(
    name: str,
    *,
    version: int = 1,
    upcast: Mapping[int, Upcaster] = _NO_UPCASTERS,
    aliases: Iterable[str] = (),
) -> Callable[[type[T]], type[T]]:
    """Give a class of commands its stored name.

    Commands in flight when a new version is deployed are read through its upcasters, like events; but they
    are read strictly: an unknown field is refused.

    Args:
        name: What is stored. To rename, keep the old name in `aliases`.
        version: The version of the class's fields.
        upcast: From each older version, a pure function from its stored fields to those of the next version.
            With none at all, older versions are read as they are, and new fields get their defaults.
        aliases: Older names that are still read.

    Returns:
        A decorator. Write it above `@attrs.frozen`.

    Raises:
        DefinitionError: A bad name or version, a hole in the chain of upcasters, or no attrs class.
    """
    spec = make_spec("command", name, version, upcast, aliases)

    def decorate(cls: type[T]) -> type[T]:
        attach(cls, spec)
        return cls

    return decorate
