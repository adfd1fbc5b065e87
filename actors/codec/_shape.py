"""A shape: how values of one type are written as JSON and read back, and nothing else.

Every type that can be stored has one; a type without one is refused. There is no fallback, so nothing is ever
coerced, guessed or stored in a way that cannot be read.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

Encode: TypeAlias = Callable[[Any], Any]
Decode: TypeAlias = Callable[..., Any]
Convert: TypeAlias = Callable[..., Any]
Describe: TypeAlias = Callable[[dict[object, int]], str]


@attrs.frozen(eq=False)
class Shape:
    """How one type is stored.

    Attributes:
        encode: From a value to what JSON can hold. Raises `Mismatch` for a value of another type.
        decode: The way back: `decode(raw)`.
        describe: The shape as text, for people and fingerprints; classes met before are given by number.
        runtime: The exact classes that values have: what tells the members of a union apart.
        native: What its JSON looks like, if a value's JSON type alone tells that it is of this shape.
        tag: Its name as a member of a union.
        as_key: How it is written and read as a key of a JSON object, if it can be one.
        also: Other tags that are read.
        direct: Whether msgspec alone reads it, exactly as `decode` does.
    """

    encode: Encode
    decode: Decode
    describe: Describe
    runtime: tuple[type, ...]
    tag: str
    native: tuple[type, ...] = ()
    as_key: tuple[Encode, Decode] | None = None
    also: tuple[str, ...] = ()
    direct: bool = False


@attrs.frozen(eq=False)
class Field:
    """One stored field of a class."""

    name: str
    shape: Shape
    required: bool


def constant(text: str) -> Describe:
    """Return a description that is always the same."""
    return lambda _seen: text
