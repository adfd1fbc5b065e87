"""Which classes a decider yields, read from its text, to find a mistake before the first message comes.

Only `yield Deposited(...)` is understood. What is yielded in another way is checked when it is yielded.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def yielded_classes(function: Callable[..., Any], scope: Mapping[str, Any]) -> list[type]:
    """Return the classes that a function yields instances of, as far as its text tells.

    Args:
        function: A decider.
        scope: Further names, such as those of the function in which its class stands.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        known = inspect.getclosurevars(function)
    except (OSError, TypeError, ValueError, SyntaxError):
        return []  # typed in at a prompt, or compiled: there is no text to read
    names = {**scope, **known.globals, **known.nonlocals}
    found = (_resolve(each.func, names) for each in _yielded_calls(tree.body[0]))
    return [each for each in found if isinstance(each, type)]


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
