"""The types of a class's fields, with the arguments of generic classes filled in."""

import inspect
import types
import typing
from contextlib import suppress
from typing import Any, TypeVar, get_args, get_origin

import attrs

from ._mismatch import Mismatch


def field_types(cls: type) -> dict[str, Any]:
    """Return the resolved type of every field.

    Raises:
        Mismatch: A field without a type, or one whose text cannot be resolved.
    """
    hints = _resolved(cls)
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


def _resolved(cls: type) -> dict[str, Any]:
    """Return the resolved annotations of a class and its bases, but for those that cannot be resolved."""
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError):
        pass
    # One of them cannot be resolved, and the error is to name that one.
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, hint in inspect.get_annotations(base).items():
            with suppress(NameError, TypeError):
                found |= resolved(base.__module__, {name: hint})
    return found


def resolved(module: str, hints: dict[str, Any]) -> dict[str, Any]:
    """Return annotations with the texts in them resolved in a module.

    Raises:
        NameError: A name in one of them does not exist there.
    """
    holder = type("Holder", (), {"__annotations__": hints, "__module__": module})
    return typing.get_type_hints(holder, include_extras=True)


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
