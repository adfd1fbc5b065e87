"""From an exception to a sentence. What is not expected keeps its traceback: it is a bug."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import psycopg
from click import ClickException

from rolebook.actors import RolebookError


def sentences(error: Exception) -> list[str] | None:
    """Say what went wrong, one text for each cause; None if one of them was not to be expected."""
    causes = list(_leaves(error))
    texts = [_text(cause) for cause in causes]
    if any(text is None for text in texts):
        return None
    return list(dict.fromkeys(text for text in texts if text is not None))


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for part in cast("ExceptionGroup[Exception]", error).exceptions:
        yield from _leaves(part)


def _text(error: Exception) -> str | None:
    if isinstance(error, ClickException):
        return error.format_message()
    if isinstance(error, RolebookError):
        return str(error)
    if isinstance(error, psycopg.Error):
        said = error.diag.message_primary or str(error).strip() or type(error).__name__
        hint = error.diag.message_hint
        return f"the database refused: {said}" + (f". {hint}" if hint else "")
    return None
