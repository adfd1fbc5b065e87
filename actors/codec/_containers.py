"""Shapes of collections. A collection comes back as the class it was, with the order it had.

Each comes in two flavours. The plain one is for speed: an error in it says what is wrong. The located one is
run after an error, and says where.
"""

# Values of every type pass through here.
# pyright: reportUnknownArgumentType=false

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from ._mismatch import Mismatch, at_step, expected
from ._shape import Convert, Describe, Shape

ConvertAll: TypeAlias = Callable[[Convert, Iterable[Any]], list[Any]]
ConvertPairs: TypeAlias = Callable[[Convert, Convert, Mapping[Any, Any]], dict[Any, Any]]


def list_shape(item: Shape, *, located: bool) -> Shape:
    """Return the shape of `list[item]`."""
    write, read = item.encode, item.decode
    convert = _all_located if located else _all

    def encode(value: Any) -> list[Any]:
        if type(value) is not list:
            expected("list", value)
        return convert(write, value)

    def decode(raw: Any, _: object = None) -> list[Any]:
        if type(raw) is not list:
            expected("a list", raw)
        return convert(read, raw)

    return Shape(encode, decode, _around("list", item), (list,), "list", direct=item.direct)


def tuple_shape(item: Shape, *, located: bool) -> Shape:
    """Return the shape of `tuple[item, ...]`."""
    write, read = item.encode, item.decode
    convert = _all_located if located else _all

    def encode(value: Any) -> list[Any]:
        if type(value) is not tuple:
            expected("tuple", value)
        return convert(write, value)

    def decode(raw: Any, _: object = None) -> tuple[Any, ...]:
        if type(raw) is not list:
            expected("a list", raw)
        return tuple(convert(read, raw))

    return Shape(encode, decode, _around("tuple", item), (tuple,), "tuple", direct=item.direct)


def fixed_tuple_shape(items: tuple[Shape, ...]) -> Shape:
    """Return the shape of `tuple[first, second]`."""
    writers = tuple(each.encode for each in items)
    readers = tuple(each.decode for each in items)

    def encode(value: Any) -> list[Any]:
        if type(value) is not tuple or len(value) != len(writers):
            expected(f"a tuple of {len(writers)}", value)
        return _one_by_one(writers, value)

    def decode(raw: Any, _: object = None) -> tuple[Any, ...]:
        if type(raw) is not list or len(raw) != len(readers):
            expected(f"a list of {len(readers)}", raw)
        return tuple(_one_by_one(readers, raw))

    def describe(seen: dict[object, int]) -> str:
        return f"tuple({', '.join(each.describe(seen) for each in items)})"

    return Shape(encode, decode, describe, (tuple,), "tuple")


def set_shape(cls: type[Any], item: Shape, *, located: bool) -> Shape:
    """Return the shape of `set[item]` or `frozenset[item]`, written in a settled order where there is one."""
    write, read = item.encode, item.decode
    convert = _all_located if located else _all

    def encode(value: Any) -> list[Any]:
        if type(value) is not cls:
            expected(cls.__name__, value)
        written = convert(write, value)
        try:
            written.sort()
        except TypeError:
            return written  # of mixed kinds: any order reads the same
        return written

    def decode(raw: Any, _: object = None) -> Any:
        if type(raw) is not list:
            expected("a list", raw)
        members = convert(read, raw)
        try:
            found = cls(members)
        except TypeError as error:
            raise Mismatch(f"{error}: members of a {cls.__name__} are hashable") from error
        return found if len(found) == len(members) else expected(f"a {cls.__name__} without repeats", raw)

    return Shape(encode, decode, _around(cls.__name__, item), (cls,), cls.__name__)


def dict_shape(key: Shape, value: Shape, *, located: bool) -> Shape:
    """Return the shape of `dict[key, value]`.

    Raises:
        Mismatch: Keys of that type cannot be written as text.
    """
    if key.as_key is None:
        raise Mismatch(
            f"keys of {key.tag} cannot be stored: keys are text in JSON; "
            "use str, int, UUID, an enum or a date, or a list of pairs"
        )
    write_key, read_key = key.as_key
    write, read = value.encode, value.decode
    convert = _pairs_located if located else _pairs

    def encode(given: Any) -> dict[str, Any]:
        if type(given) is not dict:
            expected("dict", given)
        return convert(write_key, write, given)

    def decode(raw: Any, _: object = None) -> dict[Any, Any]:
        if type(raw) is not dict:
            expected("an object", raw)
        found = convert(read_key, read, raw)
        return found if len(found) == len(raw) else expected("an object whose keys stay different", raw)

    def describe(seen: dict[object, int]) -> str:
        return f"dict[{key.describe(seen)}, {value.describe(seen)}]"

    return Shape(encode, decode, describe, (dict,), "dict")


def _around(name: str, item: Shape) -> Describe:
    return lambda seen: f"{name}[{item.describe(seen)}]"


def _all(convert: Convert, values: Iterable[Any]) -> list[Any]:
    return list(map(convert, values))


def _all_located(convert: Convert, values: Iterable[Any]) -> list[Any]:
    return [at_step(f"[{place}]", convert, each) for place, each in enumerate(values)]


def _one_by_one(converts: Iterable[Convert], values: Iterable[Any]) -> list[Any]:
    pairs = zip(converts, values, strict=True)
    return [at_step(f"[{place}]", convert, each) for place, (convert, each) in enumerate(pairs)]


def _pairs(key: Convert, value: Convert, pairs: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key(name): value(each) for name, each in pairs.items()}


def _pairs_located(key: Convert, value: Convert, pairs: Mapping[Any, Any]) -> dict[Any, Any]:
    return {
        at_step(f"[key {name!r:.60}]", key, name): at_step(f"[{name!r:.60}]", value, each)
        for name, each in pairs.items()
    }
