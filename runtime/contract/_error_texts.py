"""An error as a text: for the log, and as it is stored."""

from __future__ import annotations

import traceback

_LONGEST = 4000


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
    line = " ".join(text_of(error).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def report_of(error: BaseException) -> str:
    """Return an error's type, text and the end of its traceback, as can be stored."""
    lines = "".join(traceback.format_exception(error, limit=-4)).strip()
    text = text_of(error)
    return storable((text if error.__traceback__ is None else f"{text}\n\n{lines}")[:_LONGEST])


def storable(text: str) -> str:
    """Return a text with what no text column takes written out: NUL, and half of a surrogate pair."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
