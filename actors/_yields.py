"""What a decider yields and a route tells, read from its text, to find a mistake before the first message.

Only `yield Deposited(...)` and `Tell(Account, key, Deposit(...))` are understood. What is written in another
way is checked when it happens.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from ._effects import Tell

_TELL: Final = ("actor", "key", "command")


class TellCall(NamedTuple):
    """A `Tell(...)` in the text of a function."""

    actor: type
    command: type


def yielded_classes(function: Callable[..., Any], scope: Mapping[str, Any]) -> list[type]:
    """Return the classes that a function yields instances of, as far as its text tells.

    Args:
        function: A decider.
        scope: Further names, such as those of the function in which its class stands.
    """
    node, names = _parse(function)
    if node is None:
        return []
    found = (_resolve(each.func, {**scope, **names}) for each in _yielded_calls(node))
    return [each for each in found if isinstance(each, type)]


def tells(function: Callable[..., Any]) -> Iterator[TellCall]:
    """Give the actors that a function tells something by class, and the class of what, as its text says.

    Args:
        function: A route.
    """
    node, names = _parse(function)
    for call in () if node is None else ast.walk(node):
        if isinstance(call, ast.Call) and _resolve(call.func, names) is Tell:
            given = dict(zip(_TELL, call.args, strict=False))
            given |= {each.arg: each.value for each in call.keywords if each.arg is not None}
            actor, command = given.get("actor"), given.get("command")
            if actor is not None and isinstance(command, ast.Call):
                target, kind = _resolve(actor, names), _resolve(command.func, names)
                if isinstance(target, type) and isinstance(kind, type):
                    yield TellCall(target, kind)


def _parse(function: Callable[..., Any]) -> tuple[ast.AST | None, Mapping[str, Any]]:
    """Return a function's text as a tree, and the names it uses; typed in at a prompt it has no text."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        known = inspect.getclosurevars(function)
    except (OSError, TypeError, ValueError, SyntaxError):
        return None, {}
    return tree.body[0], {**known.globals, **known.nonlocals}


def _yielded_calls(node: ast.AST) -> Iterator[ast.Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue  # what it yields is not what the decider yields
        if isinstance(child, ast.Yield) and isinstance(child.value, ast.Call):
            yield child.value
        yield from _yielded_calls(child)


def _resolve(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_resolve(node.value, names), node.attr, None)
    return None
