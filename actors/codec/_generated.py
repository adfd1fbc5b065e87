"""The functions that take an object apart and put it together: flat code, generated for each class.

What was stored is what is read. So where `__init__` does more than set the fields it is given, it is not
called: converters and `__attrs_post_init__` did their work when the value was made, and would do it twice.
Validators are asked again; a field that was not stored gets its default, through its converter.
"""

# Values of every type pass through here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable, Sequence
from typing import Any, cast

import attrs

from ._shape import Decode, Encode, Field


def generate_writer(encoders: dict[str, Encode]) -> Encode:
    """Return the function from an object to a dict of its fields."""
    parts = [f"{name!r}: encode_{at}(value.{name})" for at, name in enumerate(encoders)]
    scope = {f"encode_{at}": encode for at, encode in enumerate(encoders.values())}
    return _compiled("value", [f"return {{{', '.join(parts)}}}"], scope)


def generate_reader(cls: type, fields: Sequence[Field], decoders: dict[str, Decode]) -> Decode:
    """Return the function from a dict of fields to an object.

    Args:
        cls: An attrs class.
        fields: All of its fields, in order; one that is not required may be missing.
        decoders: For each field.
    """
    scope: dict[str, Any] = {f"decode_{at}": decode for at, decode in enumerate(decoders.values())}
    scope["cls"] = cls
    make = _called if only_sets_fields(cls) else _restored
    return _compiled("raw", make(cls, fields, scope), scope)


def only_sets_fields(cls: Any) -> bool:
    """Whether the `__init__` of an attrs class does nothing but set each field to what it is given."""
    made = attrs.inspect(cls)
    hooked = hasattr(cls, "__attrs_pre_init__") or hasattr(cls, "__attrs_post_init__")
    # Another decorator may have put something around the `__init__` that attrs wrote.
    code = getattr(cls.__init__, "__code__", None)
    is_bare = code is not None and code.co_filename.startswith("<attrs generated")
    as_given = all(each.init and each.converter is None for each in attrs.fields(cls))
    return made.added_init and is_bare and as_given and not hooked


def caches_hash(cls: type) -> bool:
    """Whether the objects of an attrs class keep their hash."""
    return attrs.inspect(cls).hashability is attrs.ClassProps.Hashability.HASHABLE_CACHED


def _called(cls: Any, fields: Sequence[Field], _scope: dict[str, Any]) -> list[str]:
    """Return the text that calls the class: the quickest way."""
    given, optional, in_order = list[str](), list[str](), True
    for at, (field, attribute) in enumerate(zip(fields, attrs.fields(cls), strict=True)):
        value = f"decode_{at}(raw[{field.name!r}])"
        in_order = in_order and field.required and not attribute.kw_only
        if not field.required:
            optional.append(f"if {field.name!r} in raw: rest[{attribute.alias!r}] = {value}")
        else:
            given.append(value if in_order else f"{attribute.alias}={value}")
    if not optional:
        return [f"return cls({', '.join(given)})"]
    return ["rest = {}", *optional, f"return cls({', '.join([*given, '**rest'])})"]


def _restored(cls: Any, fields: Sequence[Field], scope: dict[str, Any]) -> list[str]:
    """Return the text that sets each field of an object that `__init__` has not seen."""
    is_error = issubclass(cls, BaseException)
    scope |= {"new": cls.__new__ if is_error else object.__new__, "put": object.__setattr__}
    scope |= {"validate": attrs.validate, "finish": _finisher(cls)}
    lines, end = ["value = new(cls)", "whole = True"], ["return value"]
    if caches_hash(cls):
        lines.append("put(value, '_attrs_cached_hash', None)")
    for at, (field, attribute) in enumerate(zip(fields, attrs.fields(cls), strict=True)):
        set_it = f"put(value, {field.name!r}, decode_{at}(raw[{field.name!r}]))"
        if field.required:
            lines.append(set_it)
            continue
        lines += [f"if {field.name!r} in raw: {set_it}"]
        if attribute.default is attrs.NOTHING:
            lines.append("else: whole = False")
        else:
            scope[f"default_{at}"] = _default(attribute)
            lines.append(f"else: put(value, {field.name!r}, default_{at}(value))")
    if any(each.validator for each in attrs.fields(cls)):
        end.insert(0, "validate(value)")
    return [*lines, "if not whole: finish(value)", *end]


def _default(attribute: Any) -> Callable[[Any], Any]:
    """Return what computes the default of a field of an object that is being put together."""
    default, convert = attribute.default, attribute.converter

    def compute(value: Any) -> Any:
        made = default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class; the stub says function
            made = default.factory(value) if default.takes_self else default.factory()
        if isinstance(convert, attrs.Converter):
            return cast("Any", convert).__call__(made, value, attribute)
        return made if convert is None else convert(made)

    return compute


def _finisher(cls: Any) -> Callable[[Any], None]:
    """Return what lets `__attrs_post_init__` set the fields that were not stored, and those only."""
    names = [each.name for each in attrs.fields(cls)]
    hook = getattr(cls, "__attrs_post_init__", None)

    def finish(value: Any) -> None:
        if hook is None:
            return
        stored = {name: getattr(value, name) for name in names if hasattr(value, name)}
        hook(value)
        for name, each in stored.items():
            object.__setattr__(value, name, each)

    return finish


def _compiled(parameter: str, lines: list[str], scope: dict[str, Any]) -> Callable[..., Any]:
    body = "\n".join(f"    {line}" for line in lines)
    exec(f"def made({parameter}):\n{body}", scope)  # noqa: S102  # the text is made here, of names of fields
    made: Callable[..., Any] = scope["made"]
    return made
