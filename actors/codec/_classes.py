"""Shapes of attrs classes, made of the shapes of their fields."""

# Values of every type pass through here.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownVariableType=false

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_origin

import attrs

from .._message import spec_of
from ._direct import is_direct
from ._generated import generate_reader, generate_writer
from ._mismatch import Mismatch, at_step, expected
from ._shape import Decode, Describe, Encode, Field, Shape

Mode: TypeAlias = Literal["strict", "tolerant", "complete"]
"""How a class is read: unknown fields refused; unknown fields ignored; or exactly all fields, no defaults."""


def class_shape(hint: Any, fields: list[Field], mode: Mode, *, located: bool) -> Shape:
    """Return the shape of an attrs class, or of a generic one with its arguments.

    Args:
        hint: The class, or `Box[int]`.
        fields: All of its fields, in order.
        mode: How it is read.
        located: Whether an error says in which field it is; slower.
    """
    cls: type = get_origin(hint) or hint
    hooks = [_hooks(each) if located else (each.shape.encode, each.shape.decode) for each in fields]
    names = [each.name for each in fields]
    write = generate_writer(dict(zip(names, (encode for encode, _ in hooks), strict=True)))
    read = generate_reader(cls, fields, dict(zip(names, (decode for _, decode in hooks), strict=True)))
    spec = spec_of(cls)
    return Shape(
        encode=_encoder(cls, write, fields, located=located),
        decode=_decoder(cls, read, fields, mode, located=located),
        describe=_describer(hint, fields),
        runtime=(cls,),
        tag=spec.name if spec else cls.__name__,
        also=spec.aliases if spec else (),
        direct=mode == "tolerant"
        and hint is cls
        and _is_frozen(cls)
        and is_direct(cls, [each.shape for each in fields]),
    )


def _hooks(field: Field) -> tuple[Encode, Decode]:
    step, shape = f".{field.name}", field.shape
    return (
        lambda value: at_step(step, shape.encode, value),
        lambda raw, _=None: at_step(step, shape.decode, raw),
    )


def _encoder(cls: type, write: Encode, fields: list[Field], *, located: bool) -> Encode:
    def encode(value: Any) -> Any:
        # A subclass may have more fields, which would be lost.
        if type(value) is not cls:
            expected(cls.__name__, value)
        return write(value)

    known = {each.name for each in fields} | _computed(cls)

    def encode_open(value: Any) -> Any:
        own: dict[str, Any] = value.__dict__ if type(value) is cls else {}
        if not own.keys() <= known:
            _refuse_strangers(own.keys() - known)
        return encode(value)

    chosen = encode_open if getattr(cls, "__dictoffset__", 0) else encode

    def encode_located(value: Any) -> Any:
        for each in fields:
            if not hasattr(value, each.name) and type(value) is cls:
                raise Mismatch("was never set").inside(f".{each.name}")
        return chosen(value)

    return encode_located if located else chosen


def _computed(cls: type) -> set[str]:
    """Return the names under which an object keeps what is computed anew when it is asked for."""
    members = (pair for base in cls.__mro__ for pair in vars(base).items())
    return {name for name, member in members if isinstance(member, cached_property)}


def _refuse_strangers(names: Iterable[str]) -> None:
    """Refuse to write an object that has more than its fields; Python's own marks on it are nothing."""
    for name in sorted(names):
        if not name.startswith("__") and name != "_attrs_cached_hash":
            raise Mismatch("is no field, and would be lost; make it one, or a cached_property").inside(
                f".{name}"
            )


def _decoder(cls: type, read: Decode, fields: list[Field], mode: Mode, *, located: bool) -> Decode:
    names = frozenset(each.name for each in fields)
    count = len(names)
    tolerant = mode == "tolerant"
    exact = all(each.required for each in fields)

    def decode(raw: Any, _: object = None) -> Any:
        if type(raw) is not dict:
            expected(f"an object with the fields of {cls.__name__}", raw)
        # Where every field is required, `read` finds a missing one, and the length tells an unknown one.
        if not tolerant and (len(raw) != count if exact else not raw.keys() <= names):
            raise _wrong_fields(raw, fields)
        return read(raw)

    def decode_complete(raw: Any, _: object = None) -> Any:
        # The fields with a default, which `read` would fill in, must be there too.
        if type(raw) is dict and raw.keys() != names:
            raise _wrong_fields(raw, fields)
        return decode(raw)

    chosen = decode_complete if mode == "complete" else decode
    return _located_decoder(chosen, fields) if located else chosen


def _located_decoder(decode: Decode, fields: list[Field]) -> Decode:
    def decode_located(raw: Any, _: object = None) -> Any:
        if type(raw) is dict and any(each.required and each.name not in raw for each in fields):
            raise _wrong_fields(raw, fields)
        try:
            return decode(raw)
        except (Mismatch, RecursionError):
            raise
        except Exception as error:
            raise Mismatch(f"refused by its class: {type(error).__name__}: {error}") from error

    return decode_located


def _wrong_fields(raw: Mapping[str, Any], fields: list[Field]) -> Mismatch:
    known = {each.name for each in fields}
    missing = [each.name for each in fields if each.required and each.name not in raw]
    unknown = sorted(raw.keys() - known)
    problems = [
        f"{word} {', '.join(repr(each) for each in names):.200}"
        for word, names in (("missing field", missing), ("unknown field", unknown))
        if names
    ]
    return Mismatch("; ".join(problems))


def _describer(hint: Any, fields: list[Field]) -> Describe:
    def describe(seen: dict[object, int]) -> str:
        if hint in seen:
            return f"^{seen[hint]}"
        seen[hint] = len(seen)
        inner = (f"{each.name}{'' if each.required else '?'}: {each.shape.describe(seen)}" for each in fields)
        return "{" + ", ".join(inner) + "}"

    return describe


def _is_frozen(cls: type) -> bool:
    probe: Any = None
    try:
        probe = object.__new__(cls)
        probe.rolebook_probe = None
    except attrs.exceptions.FrozenInstanceError:
        return True
    except (AttributeError, TypeError):
        return False
    return False
