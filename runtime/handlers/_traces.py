"""Whether a turn that failed can have left traces in its actor's state. Pure.

A decider is to change the state in `@apply` only; one that does otherwise and then refuses would leave a
state that no event made. To copy or to encode the state before each turn would cost every turn. So the values
of its fields are looked at before (a tenth of a microsecond), and compared after a failure: if they are the
very same objects, and of kinds that cannot be changed in place, nothing was changed. Otherwise the state is
thrown away, and the journal read again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from operator import attrgetter, is_
from typing import Any, Final, TypeAlias, final
from uuid import UUID

import attrs

Look: TypeAlias = tuple[object, ...] | None
"""The values of a state's fields; None if one of them is not set."""

_UNCHANGEABLE: Final = frozenset(
    {type(None), bool, int, float, complex, str, bytes, Decimal, Fraction, UUID, date, time, timedelta}
)
_ALSO: Final = (enum.Enum, date, tzinfo)


@final
class Traces:
    """Looks at the states of one class of actors."""

    def __init__(self, cls: type) -> None:
        names = [field.name for field in attrs.fields(cls)]
        self._has_dict = hasattr(cls, "__dict__") and cls.__dictoffset__ != 0
        self._count = len(names)
        self._values: Callable[[Any], Any]
        if len(names) > 1:
            self._values = attrgetter(*names)
        else:
            self._values = lambda state: tuple(getattr(state, name) for name in names)

    def look(self, state: Any) -> Look:
        """Look at a state before a turn."""
        try:
            found: tuple[object, ...] = self._values(state)
        except AttributeError:
            return None
        return found

    def may_be_in(self, state: object, before: Look) -> bool:
        """Say whether a state may have been changed since it was looked at."""
        after = self.look(state)
        if before is None or after is None or not all(map(is_, before, after)):
            return True
        if self._has_dict and len(vars(state)) != self._count:
            return True  # it keeps something beside its fields
        return not all(map(cannot_change, after))


def cannot_change(value: object) -> bool:
    """Say whether a value is of a kind that cannot be changed in place, and all that is in it too."""
    kind = type(value)
    if kind in _UNCHANGEABLE or isinstance(value, _ALSO):
        return True
    if kind is tuple or kind is frozenset:
        parts: Any = value
        return all(map(cannot_change, parts))
    if attrs.has(kind) and kind.__setattr__ is _FROZEN.__setattr__:
        return kind.__dictoffset__ == 0 and all(
            cannot_change(getattr(value, field.name, [])) for field in attrs.fields(kind)
        )
    return False


@attrs.frozen
class _Frozen:
    """Shows how attrs makes a class that is frozen."""


_FROZEN: Final = _Frozen
