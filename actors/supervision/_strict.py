"""A cattrs converter that coerces nothing and forgets nothing.

By default cattrs turns 1.9 into 1 and "false" into True, and drops keys it does not know.
"""

from functools import partial
from typing import Any, Literal, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from .._invalid import InvalidSetting, choice

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def strict_converter() -> cattrs.Converter:
    """Return a new converter; it refuses what is not exactly of the type asked for, and unknown keys."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind in (int, float, str, bool):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook_factory(attrs.has, partial(_table, converter))
    converter.register_structure_hook_func(_is_literal, _one_of)
    converter.register_structure_hook_func(lambda kind: kind == int | None, _optional(int))
    converter.register_structure_hook_func(lambda kind: kind == float | None, _optional(float))
    return converter


def _is_literal(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is Literal


def _table(converter: cattrs.Converter, kind: Any) -> Any:
    make: Any = make_dict_structure_fn
    structure: Any = make(kind, converter, _cattrs_forbid_extra_keys=True)

    def hook(value: Any, asked: type) -> Any:
        if not isinstance(value, dict):
            raise InvalidSetting("", f"{value!r} is not a table", f"give the keys of {kind.__name__}")
        return structure(value, asked)

    return hook


def _exactly(value: Any, kind: type) -> Any:
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits:
        raise InvalidSetting("", f"{value!r} is not {_WORDS[kind]}", f"give {_WORDS[kind]}")
    return float(value) if kind is float else value


def _one_of(value: Any, kind: Any) -> Any:
    choice("", value, get_args(kind))
    return value


def _optional(kind: type) -> Any:
    def hook(value: Any, _: Any) -> Any:
        return None if value == "unlimited" else _exactly(value, kind)

    return hook
