"""An error as a text: for the log, as it is stored, and as a list shows what is stored.

What is stored begins with the error's type and text. Lines of what caused it follow, then the traceback. So
a list finds what it needs at the beginning, whatever had to be cut off the end.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import cast

_LONGEST = 4000
_CAUSED = "caused by: "
_SHOWN = 200
"""Characters of an error, and of its cause, in a list."""


def text_of(error: BaseException) -> str:
    """Return an error's type and text. The text is user code too, and may fail itself."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException as second:
        if isinstance(second, KeyboardInterrupt):
            raise
        return f"{type(error).__name__} (its text raised {type(second).__name__})"


def line_of(error: BaseException) -> str:
    """Return an error's type and whole text in one line, for the log; only what is endless is cut."""
    # Where in our own statements the server was says nothing to who reads it.
    line = " ".join(text_of(error).partition("\nCONTEXT: ")[0].split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def report_of(error: BaseException) -> str:
    """Return an error's type, text, causes and the end of its traceback, as can be stored."""
    text = text_of(error)[: _LONGEST // 2]
    causes = [f"{_CAUSED}{headline(text_of(cause))}" for cause in _causes(error)]
    told = "\n".join(
        [text, *dict.fromkeys(each for each in causes if each.removeprefix(_CAUSED) not in text)]
    )
    if error.__traceback__ is not None:
        told += "\n\n" + "".join(traceback.format_exception(error, limit=-4)).strip()
    return storable(told[:_LONGEST])


def headline(report: str) -> str:
    """Return the line that names an error and what caused it, from the text of it that was stored.

    Each of the two is cut at its end, if it is very long; so the cause is never cut off.
    """
    lines = [line.strip() for line in report.partition("\nTraceback (most recent call last)")[0].splitlines()]
    lines = [line for line in lines if line]
    first = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    causes = [line for line in lines[1:] if line.startswith(_CAUSED)]
    return "; ".join(map(_cut, [first, *causes[-1:]]))


def _cut(line: str) -> str:
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give what an error was raised for, the nearest first: what it was raised from, or what it holds."""
    seen = {id(error)}
    while (cause := _cause(error)) is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        error = cause


def _cause(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return None if error.__suppress_context__ else error.__context__


def storable(text: str) -> str:
    """Return a text with what no text column takes written out: NUL, and half of a surrogate pair."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
