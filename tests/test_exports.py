"""Every public name is exported on purpose, documented, and closed to subclasses unless meant for them."""

import enum
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import rolebook

MEANT_FOR_SUBCLASSES = {
    "Command",  # a user's commands name their reply's type by it
    "Rejected",  # a user's refusals carry data
    "Connection",  # a psycopg connection, open like its base
}


def _packages() -> list[str]:
    """The front door and every public package and module behind it."""
    walk = pkgutil.walk_packages(rolebook.__path__, "rolebook.")
    return ["rolebook", *(info.name for info in walk if "._" not in info.name)]


def _exports(module: ModuleType) -> Iterator[tuple[str, object]]:
    """The public names of a module that are ours, submodules left out."""
    for name, value in vars(module).items():
        ours = getattr(value, "__module__", "rolebook").startswith("rolebook")
        if not name.startswith("_") and not isinstance(value, ModuleType) and ours:
            yield name, value


PACKAGES = _packages()


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_documented(package: str) -> None:
    """Every class and function that a package exports has a docstring, and so has the package."""
    module = importlib.import_module(package)
    assert module.__doc__, f"{package} has no docstring"
    silent = [
        name
        for name, value in _exports(module)
        if (inspect.isclass(value) or inspect.isroutine(value)) and not inspect.getdoc(value)
    ]
    assert silent == []


@pytest.mark.parametrize("package", PACKAGES)
def test_public_classes_are_final(package: str) -> None:
    """A class is final, a protocol, an enumeration, a base of our own, or meant for subclasses."""
    module = importlib.import_module(package)
    open_ones = [name for name, value in _exports(module) if inspect.isclass(value) and not _is_closed(value)]
    assert open_ones == []


def _is_closed(cls: type[object]) -> bool:
    return (
        getattr(cls, "__final__", False)
        or getattr(cls, "_is_protocol", False)
        or issubclass(cls, enum.Enum)
        or cls.__name__ in MEANT_FOR_SUBCLASSES
        or _is_base(cls)
    )


def _is_base(cls: type[object]) -> bool:
    """A class that Rolebook itself derives others from."""
    return any(sub.__module__.startswith("rolebook") for sub in cls.__subclasses__())


def test_exports_are_explicit() -> None:
    """Every name at the front door is exported from the package it comes from, under the same name."""
    for name, value in _exports(rolebook):
        home = str(getattr(value, "__module__", "rolebook")).split("._")[0]
        if inspect.isclass(value) or inspect.isroutine(value):
            assert getattr(importlib.import_module(home), name) is value


OURS_ALONE = {
    "NotOwner",  # one way of an ask is closed: the asker takes the other
    "Repeated",  # an idempotency key has its outcome: the asker reads it
    "TurnConflict",  # a handler's transaction lost its message: said in the log
    "Elsewhere",  # a server does not know the session: it ends, and all begins anew
    "LinkCut",  # a turn whose link broke is tried again, at no cost
    "SessionLost",  # what ends it then
    "NoDatabase",  # the pytest plugin's own
}


def _errors(base: type[Exception]) -> Iterator[type[Exception]]:
    for sub in base.__subclasses__():
        if sub.__module__.startswith("rolebook."):
            yield sub
            yield from _errors(sub)


def test_every_error_is_at_the_front_door() -> None:
    """What a user may have to catch can be imported from `rolebook`."""
    missing = {
        error.__name__ for error in _errors(rolebook.RolebookError) if not hasattr(rolebook, error.__name__)
    }
    assert missing == OURS_ALONE
