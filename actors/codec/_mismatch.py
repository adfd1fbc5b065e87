"""A value that is not what its type says, and where it was found."""

from collections.abc import Callable
from typing import Any, NoReturn


class Mismatch(Exception):
    """Collects the path to a bad value on its way up. It never leaves the codec, which makes an error of it.

    Attributes:
        problem: What is wrong.
        path: From the outermost field to the value.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []

    def inside(self, step: str) -> "Mismatch":
        """Note that the value was found inside `step`, and return this same exception."""
        self.path.insert(0, step)
        return self

    @property
    def where(self) -> str:
        """The path as text, such as `lines[2].price`."""
        return "".join(self.path).lstrip(".")

    def __str__(self) -> str:
        return f"at {self.where}: {self.problem}" if self.path else self.problem


def expected(what: str, value: Any) -> NoReturn:
    """Raise: `value` is not `what`."""
    raise Mismatch(f"expected {what}, got {type(value).__name__} {value!r:.80}")


def at_step(step: str, convert: Callable[..., Any], value: Any) -> Any:
    """Return `convert(value)`; a mismatch in it is noted to be inside `step`."""
    try:
        return convert(value)
    except Mismatch as error:
        raise error.inside(step) from error.__cause__
