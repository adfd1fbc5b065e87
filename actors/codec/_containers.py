"""Shapes of collections. A collection comes back as the class it was, with the order it had."""

from typing import Any

from ._mismatch import Mismatch, expected
from ._shape import Describe, Encode, Shape


def list_shape(item: Shape) -> Shape:
    """Return the shape of `list[item]`."""
    write, read = item.encode, item.decode

    def encode(value: Any) -> list[Any]:
        if type(value) is not list:
            return expected("list", value)
        try:
            return [write(each) for each in value]
        except Mismatch as error:
            raise _located(error, write, value) from None

    def decode(raw: Any, _: object = None) -> list[Any]:
        if type(raw) is not list:
            return expected("a list", raw)
        try:
            return [read(each) for each in raw]
        except Mismatch as error:
            raise _located(error, read, raw) from None

    return Shape(encode, decode, _around("list", item), (list,), "list")


def tuple_shape(item: Shape) -> Shape:
    """Return the shape of `tuple[item, ...]`."""
    inner = list_shape(item)
    read = inner.decode

    def encode(value: Any) -> list[Any]:
        return inner.encode(list(value)) if type(value) is tuple else expected("tuple", value)

    def decode(raw: Any, _: object = None) -> tuple[Any, ...]:
        return tuple(read(raw))

    return Shape(encode, decode, _around("tuple", item), (tuple,), "tuple")


def fixed_tuple_shape(items: tuple[Shape, ...]) -> Shape:
    """Return the shape of `tuple[first, second]`."""
    writers = tuple(each.encode for each in items)
    readers = tuple(each.decode for each in items)

    def encode(value: Any) -> list[Any]:
        if type(value) is not tuple or len(value) != len(writers):
            return expected(f"a tuple of {len(writers)}", value)
        return [
            _step(write, each, place) for place, (write, each) in enumerate(zip(writers, value, strict=True))
        ]

    def decode(raw: Any, _: object = None) -> tuple[Any, ...]:
        if type(raw) is not list or len(raw) != len(readers):
            return expected(f"a list of {len(readers)}", raw)
        return tuple(
            _step(read, each, place) for place, (read, each) in enumerate(zip(readers, raw, strict=True))
        )

    def describe(seen: dict[object, int]) -> str:
        return f"tuple({', '.join(each.describe(seen) for each in items)})"

    return Shape(encode, decode, describe, (tuple,), "tuple")


def set_shape(cls: type[Any], item: Shape) -> Shape:
    """Return the shape of `set[item]` or `frozenset[item]`, written in a settled order where there is one."""
    inner = list_shape(item)

    def encode(value: Any) -> list[Any]:
        if type(value) is not cls:
            return expected(cls.__name__, value)
        written = inner.encode(list(value))
        try:
            written.sort()
        except TypeError:
            return written  # of mixed kinds: any order reads the same
        return written

    def decode(raw: Any, _: object = None) -> Any:
        members = inner.decode(raw)
        try:
            found = cls(members)
        except TypeError as error:
            raise Mismatch(f"{error}: members of a {cls.__name__} are hashable") from None
        return found if len(found) == len(members) else expected(f"a {cls.__name__} without repeats", raw)

    return Shape(encode, decode, _around(cls.__name__, item), (cls,), cls.__name__)


def dict_shape(key: Shape, value: Shape) -> Shape:
    """Return the shape of `dict[key, value]`.

    Raises:
        Mismatch: Keys of that type cannot be written as text.
    """
    if key.as_key is None:
        raise Mismatch(
            f"keys of {key.tag} cannot be stored: keys are text in JSON; use str, int, UUID, an enum, a date, "
            "or a list of pairs"
        )
    write_key, read_key = key.as_key
    write, read = value.encode, value.decode

    def encode(given: Any) -> dict[str, Any]:
        if type(given) is not dict:
            return expected("dict", given)
        try:
            return {write_key(name): write(each) for name, each in given.items()}
        except Mismatch:
            return {_key(write_key, name): _step(write, each, name) for name, each in given.items()}

    def decode(raw: Any, _: object = None) -> dict[Any, Any]:
        if type(raw) is not dict:
            return expected("an object", raw)
        try:
            return {read_key(name): read(each) for name, each in raw.items()}
        except Mismatch:
            return {_key(read_key, name): _step(read, each, name) for name, each in raw.items()}

    def describe(seen: dict[object, int]) -> str:
        return f"dict[{key.describe(seen)}, {value.describe(seen)}]"

    return Shape(encode, decode, describe, (dict,), "dict")


def _around(name: str, item: Shape) -> Describe:
    return lambda seen: f"{name}[{item.describe(seen)}]"


def _step(convert: Encode, value: Any, step: object) -> Any:
    try:
        return convert(value)
    except Mismatch as error:
        raise error.inside(f"[{step!r}]") from None


def _key(convert: Encode, name: Any) -> Any:
    try:
        return convert(name)
    except Mismatch as error:
        raise error.inside(f"[key {name!r:.60}]") from None


def _located(error: Mismatch, convert: Encode, values: Any) -> Mismatch:
    """Find which item it was: counting them all the time would cost every good list."""
    for place, each in enumerate(values):
        try:
            convert(each)
        except Mismatch as found:
            return found.inside(f"[{place}]")
    return error
