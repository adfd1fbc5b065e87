"""Shapes of unions: by the JSON type where that tells the members apart, else with a tag.

A tagged member is written as an object of one entry, `{"circle": {...}}`: it works for classes, dates and
lists alike, and cannot clash with a field.
"""

# Values of every type pass through here.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from typing import Any

from ._mismatch import Mismatch, expected
from ._scalars import FLOAT
from ._shape import Decode, Encode, Shape

_NONE = type(None)


def union_shape(members: Sequence[Shape]) -> Shape:
    """Return the shape of a union.

    Raises:
        Mismatch: Two members cannot be told apart.
    """
    _check_distinct(members)
    others = [each for each in members if each.runtime != (_NONE,)]
    if len(others) == 1 and len(members) > 1:
        return _optional(others[0])
    if _tellable(members):
        return _native(members)
    return _tagged(others, optional=len(others) < len(members))


def _check_distinct(members: Sequence[Shape]) -> None:
    seen: dict[type, Shape] = {}
    for member in members:
        if not member.runtime:
            raise Mismatch("Any cannot be a member of a union; say which types it may be")
        for cls in member.runtime:
            if cls in seen:
                raise Mismatch(
                    f"two members of a union are both {cls.__name__} at run time and cannot be told apart; "
                    "make each a class of its own"
                )
            seen[cls] = member


def _tellable(members: Sequence[Shape]) -> bool:
    natives = [kind for each in members for kind in each.native]
    return all(each.native for each in members) and len(natives) == len(set(natives))


def _optional(inner: Shape) -> Shape:
    write, read = inner.encode, inner.decode

    def encode(value: Any) -> Any:
        return None if value is None else write(value)

    def decode(raw: Any, _: object = None) -> Any:
        return None if raw is None else read(raw)

    return Shape(
        encode,
        decode,
        lambda seen: f"{inner.describe(seen)}|None",
        (*inner.runtime, _NONE),
        inner.tag,
        native=(*inner.native, _NONE) if inner.native else (),
        direct=inner.direct,
    )


def _native(members: Sequence[Shape]) -> Shape:
    writers: dict[type, Encode] = {cls: each.encode for each in members for cls in each.runtime}
    readers: dict[type, Decode] = {kind: each.decode for each in members for kind in each.native}
    if float in readers:  # a whole number will do for a float, unless the union has room for it as an int
        readers.setdefault(int, FLOAT.decode)
        writers.setdefault(int, FLOAT.encode)
    names = " or ".join(dict.fromkeys(each.tag for each in members))

    def encode(value: Any) -> Any:
        write = writers.get(type(value))
        return write(value) if write else expected(names, value)

    def decode(raw: Any, _: object = None) -> Any:
        read = readers.get(type(raw))
        return read(raw) if read else expected(names, raw)

    return Shape(encode, decode, _described(members), tuple(writers), "union", native=tuple(readers))


def _tagged(members: Sequence[Shape], *, optional: bool) -> Shape:
    writers: dict[type, tuple[str, Encode]] = {
        cls: (each.tag, each.encode) for each in members for cls in each.runtime
    }
    readers = _readers(members)
    names = " or ".join(each.tag for each in members)

    def encode(value: Any) -> Any:
        if value is None and optional:
            return None
        found = writers.get(type(value))
        if found is None:
            return expected(names, value)
        tag, write = found
        return {tag: write(value)}

    def decode(raw: Any, _: object = None) -> Any:
        if raw is None and optional:
            return None
        if type(raw) is not dict or len(raw) != 1:
            return expected(f"an object with one entry, named {names}", raw)
        [(tag, inner)] = raw.items()
        read = readers.get(tag)
        return read(inner) if read else expected(names, tag)

    runtime = (*writers, _NONE) if optional else tuple(writers)
    none = "|None" if optional else ""
    describe = _described(members)
    return Shape(encode, decode, lambda seen: f"tagged({describe(seen)}){none}", runtime, "union")


def _readers(members: Sequence[Shape]) -> dict[str, Decode]:
    readers: dict[str, Decode] = {}
    for member in members:
        for tag in (member.tag, *member.also):
            if tag in readers:
                raise Mismatch(f"two members of a union are both stored as {tag!r}; rename one")
            readers[tag] = member.decode
    return readers


def _described(members: Sequence[Shape]) -> Any:
    return lambda seen: "|".join(sorted(f"{each.tag}:{each.describe(seen)}" for each in members))
