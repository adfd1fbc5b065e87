"""From the text of one shape to that of another: which fields changed, in words."""

from collections.abc import Iterator, Sequence
from typing import Final

from ._choices import QUOTED, changed_members, may_follow

_OPTIONAL: Final = ", optional"


def field_changes(old_shape: str, new_shape: str) -> Iterator[str]:
    """Say what became of each field that is another one now."""
    before, after = fields_of(old_shape), fields_of(new_shape)
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if new is None:
            yield f"field {name!r} ({old}) is gone"
        elif old is None:
            yield f"field {name!r} ({new}) is new"
        elif members := changed_members(old, new):
            yield f"in field {name!r}, {', '.join(members)}"
        elif not may_follow(old, new):
            yield f"field {name!r} was {old} and is {new}"


def fits_as_it_is(old_shape: str, new_shape: str, *, strict: bool) -> bool:
    """Say whether what was stored by an older shape can be read by a newer one, without an upcaster.

    A new field must have a default, and what is in both must be the same. Unless unknown fields are refused,
    a field may be gone.
    """
    before, after = fields_of(old_shape), fields_of(new_shape)
    if strict and not before.keys() <= after.keys():
        return False
    return all(
        _fits(before[name].removesuffix(_OPTIONAL), kind.removesuffix(_OPTIONAL), strict=strict)
        if name in before
        else kind.endswith(_OPTIONAL)
        for name, kind in after.items()
    )


def _fits(old: str, new: str, *, strict: bool) -> bool:
    if old[:1] == new[:1] == "{" and old[-1] == new[-1] == "}":  # a class, and nothing around it
        return fits_as_it_is(old, new, strict=strict)
    return may_follow(old, new)


def fields_of(shape: str) -> dict[str, str]:
    """Return the fields of a shape's text, each with its type."""
    found: dict[str, str] = {}
    for part in _split(shape.removeprefix("{").removesuffix("}")):
        name, _, kind = part.partition(": ")
        found[name.removesuffix("?")] = f"{kind}{_OPTIONAL}" if name.endswith("?") else kind
    return found


def _split(text: str) -> Sequence[str]:
    """Split at the commas that are in no bracket and in no text."""
    parts, depth, start = list[str](), 0, 0
    for place, char in enumerate(QUOTED.sub(lambda found: "'" * len(found[0]), text)):
        depth += (char in "{[(") - (char in "}])")
        if char == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    return [part for part in (*parts, text[start:].strip()) if part]
