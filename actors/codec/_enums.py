"""Shapes of types that are a choice of values: enums and literals."""

# Values of every type pass through here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import enum
from typing import Any, get_args

from ._choices import describe_members
from ._mismatch import Mismatch, expected
from ._shape import Decode, Encode, Shape, constant


def enum_shape(cls: type[enum.Enum]) -> Shape:
    """Return the shape of an enum: its value where all are int or str, else its name.

    Flags are written as a number, so that combinations can be stored too.
    """
    if issubclass(cls, enum.Flag):
        return _flag_shape(cls)
    members = list(cls)
    by_value = all(type(each.value) in (int, str) for each in members)
    if by_value:
        written: dict[enum.Enum, Any] = {each: _value(each) for each in members}
    else:
        written = {each: each.name for each in members}
    # True == 1 and 1.0 == 1, so the class is part of what is looked up.
    read = {(type(raw), raw): member for member, raw in written.items()}
    if not by_value:  # a member that was renamed keeps its old name as an alias
        read |= {(str, name): member for name, member in cls.__members__.items()}
    named = [(name, written[member] if by_value else name) for name, member in cls.__members__.items()]
    choices = "|".join(sorted(repr(each) for each in written.values()))

    def encode(value: Any) -> Any:
        return written[value] if type(value) is cls else expected(cls.__name__, value)

    def decode(raw: Any, _: object = None) -> Any:
        try:
            return read[type(raw), raw]
        except (KeyError, TypeError):
            return expected(f"{cls.__name__}, one of {choices:.200}", raw)

    texts = all(type(raw) is str for raw in written.values())
    return Shape(
        encode,
        decode,
        constant(f"enum({describe_members(named)})"),
        (cls,),
        cls.__name__,
        as_key=(encode, decode) if texts else _as_text(encode, decode),
    )


def _value(member: enum.Enum) -> Any:
    return member.value


def _as_text(encode: Encode, decode: Decode) -> tuple[Encode, Decode]:
    """Keys of a JSON object are text: write numbers with a mark, which a text that begins with it doubles."""

    def encode_key(value: Any) -> str:
        raw = encode(value)
        return raw if type(raw) is str and raw[:1] != "#" else f"#{raw}"

    def decode_key(raw: Any, _: object = None) -> Any:
        if raw[:1] != "#":
            return decode(raw)
        marked = raw[1:]
        return decode(int(marked) if marked.lstrip("-").isdecimal() else marked)

    return encode_key, decode_key


def _flag_shape(cls: type[enum.Flag]) -> Shape:
    # A name for several bits means nothing that is not said by theirs.
    single = [(name, each.value) for name, each in cls.__members__.items() if each.value.bit_count() == 1]

    def encode(value: Any) -> int:
        if type(value) is not cls:
            return expected(cls.__name__, value)
        number: int = value.value
        return number

    def decode(raw: Any, _: object = None) -> Any:
        if type(raw) is not int:
            return expected(f"{cls.__name__} as a number", raw)
        try:
            return cls(raw)
        except ValueError:
            return expected(f"{cls.__name__} as a number", raw)

    return Shape(encode, decode, constant(f"flag({describe_members(single)})"), (cls,), cls.__name__)


def literal_shape(hint: object) -> Shape:
    """Return the shape of a Literal of texts, numbers, bools and None.

    Raises:
        Mismatch: It has a member of another kind.
    """
    values = get_args(hint)
    for each in values:
        if type(each) not in (int, str, bool, type(None)):
            raise Mismatch(f"{each!r} in a Literal cannot be stored; use str, int, bool or None")
    known = {(type(each), each) for each in values}
    choices = "|".join(sorted(repr(each) for each in values))

    def encode(value: Any) -> Any:
        if _known(value):
            return value
        return expected(f"one of {choices:.200}", value)

    def decode(raw: Any, _: object = None) -> Any:
        return encode(raw)

    def _known(value: Any) -> bool:
        try:
            return (type(value), value) in known
        except TypeError:
            return False

    kinds = tuple(dict.fromkeys(type(each) for each in values))
    texts = kinds == (str,)
    return Shape(
        encode,
        decode,
        constant(f"literal({choices})"),
        kinds,
        "literal",
        native=kinds,
        as_key=(encode, decode) if texts else None,
    )
