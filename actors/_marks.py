"""The marks that `@decide` and `@apply` leave, and the methods that bear them.

A class forgets a method when another of its name comes later, and a wrapped function may forget its mark.
So the body of the class keeps a list of what was marked in it, and nothing on that list may be missing.
"""

import inspect
from types import FunctionType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from ._errors import DefinitionError

Role: TypeAlias = Literal["decide", "apply"]

_ROLE: Final = "__rolebook_role__"
_LIST: Final = "__rolebook_marked__"
_INSIDE: Final = ("__wrapped__", "__func__", "func", "fget")
_LAYERS: Final = 20


class Marked(NamedTuple):
    """A marked method of a class, and the one of a base that it overrides, if that is marked."""

    method: Any  # a FunctionType, which type checkers would bind
    overridden: Any


def mark(method: Any, role: Role) -> None:
    """Mark a method, and have the class that it stands in remember it."""
    if isinstance(method, FunctionType):
        setattr(method, _ROLE, role)
    body = _class_body()
    if body is not None:
        body.setdefault(_LIST, []).append((method, role))
    elif not isinstance(method, FunctionType):
        raise DefinitionError(f"@{role} on {method!r}, which is no plain method; write `def` in a class")


def marked_methods(cls: type, role: Role, what: str) -> list[Marked]:
    """Return the methods of a class and its bases with a mark, in the order of their text.

    Args:
        cls: The class.
        role: Which mark.
        what: How to name the class in an error.

    Raises:
        DefinitionError: A method with a mark is lost, or is no plain method.
    """
    found: dict[str, Marked] = {}
    for base in reversed(cls.__mro__):
        _check_kept(base, what)
        for name, value in base.__dict__.items():
            known = found.get(name)
            if _role(value) == role:
                found[name] = Marked(value, known.method if known else None)
            elif known is not None:
                raise DefinitionError(
                    f"{what}: {base.__name__}.{name} overrides {_short(known.method)}, which has @{role};"
                    f" write @{role} above it too, or give it another name"
                )
    return list(found.values())


def _class_body() -> dict[str, Any] | None:
    """Return the names of the class whose body is being run, which no function's frame is."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        frame = frame.f_back
    names = None if frame is None or frame.f_locals is frame.f_globals else frame.f_locals
    return names if names is not None and "__qualname__" in names else None


def _check_kept(base: type, what: str) -> None:
    """Make sure that every method that was marked in a class is in it, as a plain method."""
    for method, role in base.__dict__.get(_LIST, ()):
        names = [name for name, value in base.__dict__.items() if _holds(value, method)]
        if not names:
            raise DefinitionError(f"{what}: {_lost(base, method, role)}")
        for name in names:
            value = base.__dict__[name]
            if not isinstance(value, FunctionType):
                raise DefinitionError(
                    f"{what}: {base.__name__}.{name} has @{role} on a {type(value).__name__}, and not on a"
                    f" plain method; write `def {name}(self, {'command' if role == 'decide' else 'event'})`"
                    f" with @{role} as its only decorator"
                )


def _lost(base: type, method: Any, role: Role) -> str:
    name = getattr(method, "__name__", None) or repr(method)
    head = f"{base.__name__}.{name} has @{role}, but"
    if name not in base.__dict__:
        return f"{head} the class has no `{name}` any more; keep it, or take its @{role} away"
    return (
        f"{head} another `{name}` has taken its place: give each method a name of its own, and write @{role}"
        " above every other decorator"
    )


def _holds(value: Any, method: Any) -> bool:
    """Say whether a member of a class is that method, or is wrapped around it."""
    for _ in range(_LAYERS):
        if value is None or value is method:
            break
        value = next((getattr(value, name) for name in _INSIDE if hasattr(value, name)), None)
    return value is method


def _role(value: Any) -> Role | None:
    role: Role | None = getattr(value, _ROLE, None) if isinstance(value, FunctionType) else None
    return role


def _short(method: FunctionType) -> str:
    return ".".join(method.__qualname__.split(".")[-2:])
