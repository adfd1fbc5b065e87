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
from typing import Any, Final, final
from uuid import UUID

import attrs

_UNCHANGEABLE: Final = frozenset(
    {type(None), bool, int, float, complex, str, bytes, Decimal, Fraction, UUID, date, time, timedelta}
)
_ALSO: Final = (enum.Enum, date, tzinfo)


@final
class Traces:
    """Looks at the states of one class of actors.

    Attributes:
        look: Gives the values of a state's fields, before a turn: the tuple of them, or the only one.
    """

    def __init__(self, cls: type) -> None:
        fields = attrs.fields(cls)
        names = [field.name for field in fields]
        # Every turn passes here: it is one call, of a function that is not written in Python.
        self.look: Callable[[Any], Any] = attrgetter(*names) if names else _nothing
        if any(not field.init and field.default is attrs.NOTHING for field in fields):
            self.look = _unknown
        self._has_dict = cls.__dictoffset__ != 0
        self._count = len(names)

    def may_be_in(self, state: Any, before: Any) -> bool:
        """Say whether a state may have been changed since it was looked at."""
        values = self._values(self.look(state))
        if not all(map(is_, self._values(before), values)):
            return True
        if self._has_dict and len(state.__dict__) != self._count:
            return True  # it keeps something beside its fields
        return not all(map(cannot_change, values))

    def _values(self, looked: Any) -> tuple[object, ...]:
        found: tuple[object, ...] = (looked,) if self._count == 1 else looked
        return found


def _nothing(_: object) -> tuple[object, ...]:
    return ()


def _unknown(_: object) -> tuple[object, ...]:
    """Of a class with a field that may not be set: it is taken for changed after every failure."""
    return (object(),)


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
