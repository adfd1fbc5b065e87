"""The shape of `Any`: whatever JSON itself can hold, and comes back as it was."""

# Values of every type pass through here.
# pyright: reportUnknownVariableType=false

from typing import Any, Final

from ._mismatch import Mismatch, expected
from ._scalars import encode_float
from ._shape import Shape, constant


def _encode(value: Any) -> Any:
    kind = type(value)
    if kind in (str, int, bool, type(None)):
        return value
    if kind is float:
        return encode_float(value)
    if kind is list:
        return [_inside(each, place) for place, each in enumerate(value)]
    if kind is dict:
        return {_name(name): _inside(each, name) for name, each in value.items()}
    return expected("what JSON can hold (None, bool, int, float, str, list, dict with keys of str)", value)


def _decode(raw: Any, _: object = None) -> Any:
    return raw


def _inside(value: Any, step: object) -> Any:
    try:
        return _encode(value)
    except Mismatch as error:
        raise error.inside(f"[{step!r}]") from None


def _name(name: object) -> str:
    return name if type(name) is str else expected("a key of str", name)


ANYTHING: Final = Shape(_encode, _decode, constant("Any"), (), "Any")
