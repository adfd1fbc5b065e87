"""Finding an app by `MODULE:APP`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from click import Context, Parameter, ParamType, UsageError

from rolebook.actors import App, RolebookError


class AppParameter(ParamType[App]):
    """A parameter like `shop.actors:app`, converted to the app."""

    name = "MODULE:APP"

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> App:
        """Import the module and take the app out of it."""
        return value if isinstance(value, App) else load_app(str(value))


def load_app(text: str) -> App:
    """Import an app.

    The current directory is searched first, as `python -m` does.

    Args:
        text: `MODULE:APP`, such as `shop.actors:app`; APP may have dots in it.

    Raises:
        UsageError: There is no such module, no such name in it, or it is no app. An error that the module
            itself raises is let through: it is the module's.
    """
    module_name, colon, name = text.partition(":")
    is_module = all(part.isidentifier() for part in module_name.split("."))
    if not (is_module and colon and name):
        raise UsageError(f"{text!r} names no app: write MODULE:APP, such as shop.actors:app")
    found = _import(module_name)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UsageError(f"{module_name} has no {name!r}{_apps_of(found)}") from None
    if not isinstance(found, App):
        raise UsageError(f"{text} is no rolebook.App but {type(found).__name__}{_apps_of(found)}")
    return found


def _import(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # Only if it is the module that was asked for; one that it imports is its own affair.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"{name} cannot be imported: {error}") from error
        raise UsageError(
            f"there is no module {error.name!r}: start this in the directory that holds it, or install it"
        ) from None
    except RolebookError as error:  # a definition that cannot work: it names the remedy itself
        raise UsageError(f"{name} cannot be imported: {error}") from error


def _apps_of(module: Any) -> str:
    names = [name for name in dir(module) if isinstance(getattr(module, name, None), App)]
    return f"; its apps are: {', '.join(names)}" if names else ""
