"""Choices in the text of a shape: the members of an enum, a flag or a literal, and what became of them.

`enum(PAID=1|SHIPPED=2)`: the value is what is stored, the name is what it means. A member may be added, since
what is stored reads as before; none may be taken away, nor get another name or value. A shape that was kept
by an older Rolebook has values only.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

_TEXT: Final = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_VALUE: Final = rf"(?:-?\d+|None|True|False|{_TEXT})"
_MEMBER: Final = re.compile(rf"(?:(?P<name>[^\W\d]\w*|{_TEXT})=)?(?P<value>{_VALUE})")
_PLAIN: Final = _MEMBER.pattern.replace("?P<name>", "?:").replace("?P<value>", "?:")
_CHOICE: Final = re.compile(rf"\b(enum|flag|literal)\(((?:{_PLAIN}(?:\|{_PLAIN})*)?)\)")
QUOTED: Final = re.compile(_TEXT)

Members = set[tuple[str, str]]
"""Pairs of a name, empty if it is not known, and a value."""


def describe_members(members: Iterable[tuple[str, Any]]) -> str:
    """Return names and the values that are stored for them, as text."""
    return "|".join(
        sorted(f"{name if name.isidentifier() else repr(name)}={value!r}" for name, value in members)
    )


def may_follow(old: str, new: str) -> bool:
    """Say whether what was stored by one shape reads the same by another: they differ in new members only."""
    return _skeleton(old) == _skeleton(new) and all(
        not _changes(before, after) and _kinds(before) == _kinds(after)
        for before, after in zip(_choices(old), _choices(new), strict=True)
    )


def changed_members(old: str, new: str) -> list[str]:
    """Say what became of each member that is another one now, if that is all that changed."""
    if _skeleton(old) != _skeleton(new):
        return []
    pairs = zip(_choices(old), _choices(new), strict=True)
    return list(dict.fromkeys(each for before, after in pairs for each in _changes(before, after)))


def _skeleton(shape: str) -> str:
    return _CHOICE.sub(r"\1()", shape)


def _choices(shape: str) -> list[Members]:
    return [
        {(each["name"] or "", each["value"]) for each in _MEMBER.finditer(found[2])}
        for found in _CHOICE.finditer(shape)
    ]


def _changes(before: Members, after: Members) -> list[str]:
    if not all(name for name, _ in before | after):
        gone = {value for _, value in before} - {value for _, value in after}
        return [f"the choice {value} is gone" for value in sorted(gone)]
    now, names = dict(after), {value: name for name, value in sorted(after, reverse=True)}
    changes: list[str] = []
    for name, value in sorted(before - after):
        if name in now:
            changes.append(f"member {name} was {value} and is {now[name]}")
        elif value in names:
            changes.append(f"member {name} ({value}) is called {names[value]}")
        else:
            changes.append(f"member {name} ({value}) is gone")
    return changes


def _kinds(members: Members) -> set[str]:
    """Return the JSON types of values: with another one among them, a union or a key is written otherwise."""
    return {
        "text" if value[0] in "'\"" else "number" if value[-1].isdigit() else value for _, value in members
    }
