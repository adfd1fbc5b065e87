"""Reading the annotations of user functions: which class does this parameter take?"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from ._errors import DefinitionError


def is_plain(function: object) -> bool:
    """Say whether something was written with `def`, and is not an object around it."""
    return inspect.isfunction(function) or inspect.ismethod(function)


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the positional parameters of a function, `self` included."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each for each in inspect.signature(function).parameters.values() if each.kind in kinds]


def classes_of(
    function: Callable[..., Any], parameter: inspect.Parameter, names: Mapping[str, Any], what: str
) -> tuple[type, ...]:
    """Return the classes that a parameter's annotation names: one, or each member of a union.

    Args:
        function: The function that has the parameter.
        parameter: The parameter.
        names: Where to look up names of annotations that are text, besides the function's module.
        what: How to name the function in an error.

    Raises:
        DefinitionError: No annotation, one that cannot be resolved, or one that is no class.
    """
    if parameter.annotation is inspect.Parameter.empty:
        raise DefinitionError(f"{what}: annotate {parameter.name!r} with the class that it takes")
    hint = _resolve(function, parameter, names, what)
    members = typing.get_args(hint) if _is_union(hint) else (hint,)
    return tuple(_class_of(each, parameter.name, what) for each in members)


def _resolve(
    function: Callable[..., Any], parameter: inspect.Parameter, names: Mapping[str, Any], what: str
) -> Any:
    """Resolve one annotation only: the others may name what exists for the type checker alone."""
    hint = parameter.annotation
    if not isinstance(hint, str):
        return hint
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return eval(hint, {**scope, **names})  # noqa: S307  # the annotation is the program's own text
    except NameError as error:
        raise DefinitionError(
            f"{what}: the annotation {hint!r} of {parameter.name!r} cannot be resolved ({error}); "
            "define the class at module level, before the app, and not under TYPE_CHECKING"
        ) from error


def _is_union(hint: object) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _class_of(hint: object, parameter: str, what: str) -> type:
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return hint
    raise DefinitionError(
        f"{what}: {parameter!r} takes {hint!r}; annotate it with a class, or a union of classes"
    )
