"""Things that are open for the length of a runtime, and given by name to what needs them."""

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

from ._errors import DefinitionError

OpenResource: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens a resource for the length of a block."""

RESERVED: Final = frozenset({"command", "runtime", "stopping", "task_status", "turn"})
"""What functions are given under these names is no resource."""


def make_resource(function: Callable[..., Any]) -> tuple[str, OpenResource]:
    """Check a function that is to open a resource; return the name of that, and what opens it.

    Raises:
        DefinitionError: Its name is taken by the runtime, it takes parameters, or it opens nothing.
    """
    name = getattr(function, "__name__", "")
    what = f"resource {name!r}"
    if not name.isidentifier() or name in RESERVED:
        raise DefinitionError(f"{what} cannot have this name; the runtime gives something else under it")
    required = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is inspect.Parameter.empty
    ]
    if required:
        raise DefinitionError(f"{what} takes {', '.join(required)}; a resource is opened without arguments")
    if inspect.isasyncgenfunction(function):
        generator: Callable[[], AsyncGenerator[Any]] = function
        return name, asynccontextmanager(generator)
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise DefinitionError(f"{what} opens nothing; write an `async def` that yields the thing once")
    return name, function
