"""Compiled classes: straight functions from a value to JSON text and back, and the errors around them."""

# Values of every type pass through here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import attrs

from .._errors import Kind, Undecodable, Unencodable
from .._message import Upcaster
from ._json import NoJson, dumps, loads, reader_of
from ._mismatch import Mismatch
from ._shape import Shape

Encoder: TypeAlias = Callable[[object], str]
Decoder: TypeAlias = Callable[[str], Any]
Located: TypeAlias = Callable[[], Shape]


@attrs.frozen
class Label:
    """What an error calls a stored thing."""

    kind: Kind
    name: str
    version: int


def encoder(label: Label, shape: Shape, located: Located) -> Encoder:
    """Return the function from a value to its JSON text. It raises Unencodable.

    Args:
        label: What it writes.
        shape: The shape of it.
        located: Makes the same shape with errors that say where; called after an error only.
    """
    encode = shape.encode

    def write(value: object) -> str:
        try:
            return dumps(encode(value))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is named below
            _unencodable(label, _explain(located, lambda found: found.encode(value), error))

    return write


def decoder(
    label: Label,
    shape: Shape,
    located: Located,
    upcasters: tuple[Upcaster, ...] = (),
    *,
    unwrap: Callable[[Any], Any] | None = None,
) -> Decoder:
    """Return the function from JSON text to a value. It raises Undecodable.

    Args:
        label: What it reads.
        shape: The shape of today's version.
        located: Makes the same shape with errors that say where; called after an error only.
        upcasters: From the stored version to today's, in order.
        unwrap: Takes off what was put around the value; raises Mismatch.
    """
    decode = shape.decode

    def upcast(payload: str) -> Any:
        raw = loads(payload) if unwrap is None else unwrap(loads(payload))
        return _upcast(raw, upcasters, label.version) if upcasters else raw

    def read(payload: str) -> Any:
        try:
            return decode(loads(payload))
        except Exception as error:  # noqa: BLE001  # a validator of the class may raise anything
            _undecodable(
                label, payload, _explain(located, lambda found: found.decode(upcast(payload)), error)
            )

    def read_old(payload: str) -> Any:
        try:
            return decode(upcast(payload))
        except Exception as error:  # noqa: BLE001  # an upcaster or a validator may raise anything
            _undecodable(
                label, payload, _explain(located, lambda found: found.decode(upcast(payload)), error)
            )

    if upcasters or unwrap:
        return read_old
    return _direct(reader_of(shape.runtime[0]), read) if shape.direct else read


def _direct(quick: Decoder, thorough: Decoder) -> Decoder:
    def read(payload: str) -> Any:
        try:
            return quick(payload)
        except Exception:  # noqa: BLE001  # the other way decides, and says what is wrong
            return thorough(payload)

    return read


def _explain(located: Located, attempt: Callable[[Shape], object], error: Exception) -> Exception:
    """Repeat what failed with errors that say where, and return the better error.

    The good path is spared all book-keeping, and the bad one costs no more than two tries.
    """
    if isinstance(error, RecursionError):
        return error
    try:
        attempt(located())
    except Exception as better:  # noqa: BLE001  # it is returned
        return better
    return error


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
    where, problem = "", str(error)
    if isinstance(error, Mismatch):
        where, problem = error.where, error.problem
    elif isinstance(error, UnicodeEncodeError):
        problem = "a text in it has a lone surrogate, which is no Unicode"
    elif isinstance(error, RecursionError):
        problem = "it is nested too deeply, or contains itself"
    raise Unencodable(label.kind, label.name, where, problem) from error.__cause__


def _undecodable(label: Label, payload: str, error: Exception) -> NoReturn:
    problem = f"{type(error).__name__}: {error}"
    if isinstance(error, Mismatch):
        problem = str(error)
    elif isinstance(error, NoJson):
        problem = f"it is no JSON: {error}"
    elif isinstance(error, RecursionError):
        problem = "it is nested too deeply"
    raise Undecodable(label.kind, label.name, label.version, payload, problem) from error.__cause__
