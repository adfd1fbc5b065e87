"""What differs between two values, field by field: for people who read a failed test."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

_MOST = 20


def differences(expected: Any, actual: Any, where: str = "") -> list[str]:
    """Return a line for each place where two values differ; none if they are the same.

    attrs values are compared field by field, whether or not their class defines equality; lists, tuples and
    dicts item by item; everything else by class and `==`.

    Args:
        expected: What should be.
        actual: What is.
        where: What to call the values, such as "event 1".
    """
    return list(_walk(expected, actual, where))


def report(title: str, expected: Any, actual: Any, where: str) -> str | None:
    """Return a text that shows all differences, or None if there are none."""
    lines = differences(expected, actual, where)
    if not lines:
        return None
    more = [f"  … and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    shown = [f"  {line}" for line in lines[:_MOST]]
    return "\n".join([title, *shown, *more])


def _walk(expected: Any, actual: Any, where: str) -> Iterator[str]:
    if expected is actual:
        return
    if type(expected) is not type(actual):
        yield f"{where}: expected {_named(expected)}, got {_named(actual)}"
    elif attrs.has(expected.__class__):
        for field in attrs.fields(expected.__class__):
            yield from _walk(
                getattr(expected, field.name, _UNSET),
                getattr(actual, field.name, _UNSET),
                f"{where}.{field.name}",
            )
    elif isinstance(expected, (list, tuple)):
        yield from _sequences(expected, actual, where)
    elif isinstance(expected, Mapping):
        yield from _mappings(expected, actual, where)
    elif expected != actual:
        yield f"{where}: expected {expected!r}, got {actual!r}"


def _sequences(expected: Any, actual: Any, where: str) -> Iterator[str]:
    for place, (wanted, got) in enumerate(zip(expected, actual, strict=False)):
        yield from _walk(wanted, got, f"{where}[{place}]")
    for place in range(len(actual), len(expected)):
        yield f"{where}[{place}]: missing {expected[place]!r}"
    for place in range(len(expected), len(actual)):
        yield f"{where}[{place}]: unexpected {actual[place]!r}"


def _mappings(expected: Any, actual: Any, where: str) -> Iterator[str]:
    for name in expected:
        if name in actual:
            yield from _walk(expected[name], actual[name], f"{where}[{name!r}]")
        else:
            yield f"{where}[{name!r}]: missing {expected[name]!r}"
    for name in actual:
        if name not in expected:
            yield f"{where}[{name!r}]: unexpected {actual[name]!r}"


class _Unset:
    def __repr__(self) -> str:
        return "nothing: it was never set"


_UNSET = _Unset()


def _named(value: object) -> str:
    """Show a value so that two classes of the same looks can be told apart."""
    text = repr(value)
    name = type(value).__name__
    return text if text.startswith(name) else f"{name} {text}"
