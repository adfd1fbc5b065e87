"""One error for every setting that cannot work: where it is, what is wrong, what to write instead."""

import math
from typing import Any, final

from ._errors import RolebookError


@final
class InvalidSetting(RolebookError, ValueError):
    """A setting was refused when it was built.

    Args:
        path: Where the setting is, such as `children[2].shutdown`.
        problem: What is wrong with it.
        remedy: What to write instead.

    Example:
        >>> raise InvalidSetting("within", "0 seconds is not a window", "give a number above 0")
        Traceback (most recent call last):
        rolebook.actors._invalid.InvalidSetting: within: 0 seconds is not a window; give a number above 0
    """

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(path, problem, remedy)
        self.path = path
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.remedy}"

    def below(self, prefix: str) -> "InvalidSetting":
        """Return the same error, seen from further out: `shutdown` becomes `children[2].shutdown`."""
        return InvalidSetting(f"{prefix}.{self.path}" if prefix else self.path, self.problem, self.remedy)


def number(path: str, value: Any, *, above: float | None = None, least: float | None = None) -> None:
    """Refuse what is not a finite number within its bounds.

    Args:
        path: Where the setting is.
        value: What was given.
        above: The number must be greater than this.
        least: The number must be this or greater.

    Raises:
        InvalidSetting: It is none.
    """
    bound = f"above {above:g}" if above is not None else f"of {least or 0:g} or more"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSetting(path, f"{value!r} is not a number", f"give a number {bound}")
    fits = value > above if above is not None else value >= (least or 0)
    if not fits or not _is_finite(value):
        raise InvalidSetting(path, f"{value!r} is out of bounds", f"give a finite number {bound}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def choice(path: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse what is not one of the choices.

    Raises:
        InvalidSetting: It is none.
    """
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(each) for each in choices)
        raise InvalidSetting(path, f"{value!r} is not a choice", f"choose one of {listed}")


def flag(path: str, value: Any) -> None:
    """Refuse what is neither True nor False.

    Raises:
        InvalidSetting: It is neither.
    """
    if not isinstance(value, bool):
        raise InvalidSetting(path, f"{value!r} is not a truth value", "give true or false")
