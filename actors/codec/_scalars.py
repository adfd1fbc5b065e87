"""Shapes of single values. Each is exact both ways: what comes back is equal, and of the same class."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final
from uuid import UUID

from ._mismatch import Mismatch, expected
from ._shape import Decode, Encode, Shape, constant


def _encode_int(value: Any) -> int:
    if type(value) is int:
        return value
    return expected("int", value)


def _decode_int(raw: Any, _: object = None) -> int:
    if type(raw) is int:
        return raw
    return expected("int", raw)


def _encode_str(value: Any) -> str:
    if type(value) is str:
        return value
    return expected("str", value)


def _decode_str(raw: Any, _: object = None) -> str:
    if type(raw) is str:
        return raw
    return expected("str", raw)


def _encode_bool(value: Any) -> bool:
    if value is True or value is False:
        return value
    return expected("bool", value)


def _decode_bool(raw: Any, _: object = None) -> bool:
    if raw is True or raw is False:
        return raw
    return expected("bool", raw)


def _encode_none(value: Any) -> None:
    if value is not None:
        expected("None", value)


def _decode_none(raw: Any, _: object = None) -> None:
    if raw is not None:
        expected("null", raw)


def encode_float(value: Any) -> float:
    """Write a float. JSON has no NaN and no infinities: they are refused, never turned into null."""
    if type(value) is not float:
        return _float_of_int(value)
    if not isfinite(value):
        raise Mismatch(f"{value} cannot be stored; use None, or a Decimal as text")
    return value


def decode_float(raw: Any, _: object = None) -> float:
    """Read a float. Other languages write 1.0 as 1, which is the same number."""
    return raw if type(raw) is float else _float_of_int(raw)


def _float_of_int(value: Any) -> float:
    # Type checkers take an int for a float, so it must be taken here too: where it is the same number.
    if type(value) is not int:
        return expected("float", value)
    try:
        exact = float(value)
    except OverflowError:
        exact = 0.0
    if int(exact) != value:
        raise Mismatch(f"{value} is no float: it would be rounded; use int or Decimal")
    return exact


def _parse_int(raw: Any, _: object = None) -> int:
    if type(raw) is not str or not re.fullmatch(r"0|-?[1-9][0-9]*", raw):
        return expected("an int as text", raw)
    return int(raw)


def _text(cls: type[Any], write: Callable[[Any], str], read: Callable[[str], Any], what: str) -> Shape:
    """Return the shape of a class whose values are written as text."""

    def encode(value: Any) -> str:
        return write(value) if type(value) is cls else expected(cls.__name__, value)

    def decode(raw: Any, _: object = None) -> Any:
        if type(raw) is not str:
            return expected(what, raw)
        try:
            return read(raw)
        except (ValueError, OverflowError, InvalidOperation):
            return expected(what, raw)

    return Shape(encode, decode, constant(cls.__name__), (cls,), cls.__name__, as_key=(encode, decode))


def _read_datetime(text: str) -> datetime:
    # `fromisoformat` takes a bare date for midnight; a date is no datetime.
    if len(text) <= len("2013-01-01"):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def _write_time(value: time) -> str:
    # A zone whose offset changes in the year has none for a bare time: it would be lost without a word.
    if value.tzinfo is not None and value.utcoffset() is None:
        raise Mismatch(f"{value!r} has a zone without a fixed offset; store the zone's name beside the time")
    return value.isoformat()


def _write_decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise Mismatch(f"Decimal {value} cannot be stored; use None")
    return str(value)


def _read_decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(text)
    return value


_DURATION: Final = re.compile(
    r"P(?:(-?\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?", re.ASCII
)


def _write_timedelta(value: timedelta) -> str:
    """Write an ISO 8601 duration; only its days may be negative, as in the timedelta itself."""
    return f"P{value.days}DT{value.seconds}.{value.microseconds:06}S"


def _read_timedelta(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise ValueError(text)
    days, hours, minutes, seconds, fraction = match.groups(default="0")
    return timedelta(
        days=int(days),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds),
        microseconds=int(fraction.ljust(6, "0")),
    )


def _write_bytes(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _read_bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


def _plain(
    cls: type,
    encode: Encode,
    decode: Decode,
    native: tuple[type, ...],
    key: tuple[Encode, Decode] | None = None,
    *,
    direct: bool = False,
) -> Shape:
    name = cls.__name__
    return Shape(encode, decode, constant(name), (cls,), name, native=native, as_key=key, direct=direct)


INT: Final = _plain(
    int, _encode_int, _decode_int, (int,), (lambda value: str(_encode_int(value)), _parse_int), direct=True
)
STR: Final = _plain(str, _encode_str, _decode_str, (str,), (_encode_str, _decode_str), direct=True)
BOOL: Final = _plain(bool, _encode_bool, _decode_bool, (bool,), direct=True)
FLOAT: Final = _plain(float, encode_float, decode_float, (float,))
NONE: Final = Shape(_encode_none, _decode_none, constant("None"), (type(None),), "None", native=(type(None),))

SCALARS: Final[dict[object, Shape]] = {
    int: INT,
    str: STR,
    bool: BOOL,
    float: FLOAT,
    None: NONE,
    type(None): NONE,
    datetime: _text(datetime, datetime.isoformat, _read_datetime, "a datetime in ISO 8601"),
    date: _text(date, date.isoformat, date.fromisoformat, "a date in ISO 8601"),
    time: _text(time, _write_time, time.fromisoformat, "a time in ISO 8601"),
    timedelta: _text(timedelta, _write_timedelta, _read_timedelta, "a duration in ISO 8601"),
    UUID: _text(UUID, str, UUID, "a UUID"),
    Decimal: _text(Decimal, _write_decimal, _read_decimal, "a decimal number as text"),
    bytes: _text(bytes, _write_bytes, _read_bytes, "bytes in base64"),
}
