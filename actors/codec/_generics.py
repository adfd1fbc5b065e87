"""The types of a class's fields, with the arguments of generic classes filled in."""

import types
import typing
from typing import Any, TypeVar, get_args, get_origin

import attrs

from ._mismatch import Mismatch


def field_types(cls: type) -> dict[str, Any]:
    """Return the resolved type of every field.

    Raises:
        Mismatch: A field without a type, or one whose text cannot be resolved.
    """
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError):
        hints = {}
    found: dict[str, Any] = {}
    for each in attrs.fields(cls):
        hint = hints.get(each.name, each.type)
        if hint is None and each.name not in hints:
            raise Mismatch("has no type; annotate it").inside(f".{each.name}")
        if isinstance(hint, str):
            raise Mismatch(
                f"the annotation {hint!r} cannot be resolved; define its class at module level"
            ).inside(f".{each.name}")
        found[each.name] = hint
    return found


def argument_map(hint: Any, cls: type) -> dict[Any, Any]:
    """Return what each type variable of a class and of its bases stands for."""
    known: dict[Any, Any] = dict(zip(getattr(cls, "__parameters__", ()), get_args(hint), strict=False))
    pending = [cls]
    while pending:
        for base in getattr(pending.pop(), "__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and origin is not typing.Generic:
                arguments = (substitute(each, known) for each in get_args(base))
                known.update(zip(getattr(origin, "__parameters__", ()), arguments, strict=False))
                pending.append(origin)
            elif isinstance(base, type):
                pending.append(base)
    return known


def substitute(hint: Any, known: dict[Any, Any]) -> Any:
    """Return a type with its type variables filled in."""
    if not known:
        return hint
    if isinstance(hint, TypeVar):
        return known.get(hint, hint)
    arguments = get_args(hint)
    if not arguments or not getattr(hint, "__parameters__", ()):
        return hint
    filled = tuple(substitute(each, known) for each in arguments)
    if get_origin(hint) is types.UnionType:
        return typing.Union[filled]  # noqa: UP007  # made from a tuple
    parameters = hint.__parameters__
    return hint[tuple(known.get(each, each) for each in parameters)]
