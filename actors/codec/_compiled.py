"""Compiled classes: straight functions from a value to JSON text and back, and the errors around them."""

from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypeAlias

import attrs

from .._errors import Undecodable, Unencodable
from .._message import Upcaster
from ._json import BROKEN, dumps, loads
from ._mismatch import Mismatch
from ._shape import Shape

Kind: TypeAlias = Literal["event", "command", "state", "reply"]
Encoder: TypeAlias = Callable[[object], str]
Decoder: TypeAlias = Callable[[str], Any]


@attrs.frozen
class Label:
    """What an error calls a stored thing."""

    kind: Kind
    name: str
    version: int


def encoder(label: Label, shape: Shape) -> Encoder:
    """Return the function from a value to its JSON text. It raises Unencodable."""
    encode = shape.encode

    def write(value: object) -> str:
        try:
            return dumps(encode(value))
        except (Mismatch, *BROKEN) as error:
            _unencodable(label, error)

    return write


def decoder(label: Label, shape: Shape, upcasters: tuple[Upcaster, ...] = ()) -> Decoder:
    """Return the function from JSON text to a value. It raises Undecodable.

    Args:
        label: What it reads.
        shape: The shape of today's version.
        upcasters: From the stored version to today's, in order.
    """
    decode = shape.decode

    def read(payload: str) -> Any:
        try:
            return decode(loads(payload))
        except (Mismatch, *BROKEN) as error:
            _undecodable(label, payload, error)

    def read_old(payload: str) -> Any:
        try:
            return decode(_upcast(loads(payload), upcasters, label.version))
        except (Mismatch, *BROKEN) as error:
            _undecodable(label, payload, error)

    return read_old if upcasters else read


def _upcast(raw: Any, upcasters: tuple[Upcaster, ...], version: int) -> Any:
    if type(raw) is not dict:
        raise Mismatch(f"expected an object, got {type(raw).__name__}")
    for step, upcaster in enumerate(upcasters, version):
        try:
            raw = upcaster(raw)
        except Exception as error:
            raise Mismatch(
                f"its upcaster from version {step} raised {type(error).__name__}: {error}"
            ) from error
        if type(raw) is not dict:
            raise Mismatch(f"its upcaster from version {step} returned {type(raw).__name__}, not a dict")
    return raw


def _unencodable(label: Label, error: Exception) -> NoReturn:
    if isinstance(error, Mismatch):
        raise Unencodable(label.kind, label.name, error.where, error.problem) from error
    if isinstance(error, UnicodeEncodeError):
        raise Unencodable(
            label.kind, label.name, "", "a text in it has a lone surrogate, which is no Unicode"
        ) from error
    if isinstance(error, RecursionError):
        raise Unencodable(
            label.kind, label.name, "", "it is nested too deeply, or contains itself"
        ) from error
    raise Unencodable(label.kind, label.name, "", str(error)) from error


def _undecodable(label: Label, payload: str, error: Exception) -> NoReturn:
    if isinstance(error, Mismatch):
        problem = str(error)
    elif isinstance(error, RecursionError):
        problem = "it is nested too deeply"
    else:
        problem = f"it is no JSON: {error}"
    raise Undecodable(label.kind, label.name, label.version, payload, problem) from error
