"""The store's SQL: one file for each statement, headed by its purpose and its parameters."""

from __future__ import annotations

from importlib.resources import files
from typing import Final, final

from psycopg import sql

_FOLDER: Final = files("rolebook.runtime.postgres") / "statements"

PART: Final = "unread"
"""The file that is no statement, but a part of some: they say where by its name in braces."""


@final
class Statements:
    """The statements of one schema, ready to be executed.

    Attributes are looked up by the file's name: `statements["fetch"]`.
    """

    def __init__(self, schema: str) -> None:
        """Fill the schema into every statement."""
        texts = {
            path.name.removesuffix(".sql"): path.read_text(encoding="utf-8")
            for path in _FOLDER.iterdir()
            if path.name.endswith(".sql")
        }
        part = texts.pop(PART)
        self._texts = {name: _fill(text, schema, part) for name, text in texts.items()}

    def __getitem__(self, name: str) -> bytes:
        """Return one statement."""
        return self._texts[name]


def _fill(text: str, schema: str, part: str) -> bytes:
    # Without comments: psycopg converts a statement of more than 4,096 characters anew each time.
    lines = text.replace("{" + PART + "}", part).splitlines()
    code = "\n".join(line for line in lines if not line.startswith("--"))
    # The files are this package's own; psycopg wants a literal, which a file cannot be.
    statement = sql.SQL(code)  # pyright: ignore[reportArgumentType]
    return statement.format(schema=sql.Identifier(schema)).as_bytes(None)
