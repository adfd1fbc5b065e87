"""The store's SQL: one file for each statement, headed by its purpose and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final, final

from psycopg import sql

_FOLDER: Final = files("rolebook.runtime.postgres") / "statements"

PART: Final = "_"
"""Begins the name of a file that is a part of statements: they have it in braces, without this."""


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
        parts = {name.removeprefix(PART): text for name, text in texts.items() if name.startswith(PART)}
        self._texts = {
            name: _fill(text, schema, parts) for name, text in texts.items() if not name.startswith(PART)
        }

    def __getitem__(self, name: str) -> bytes:
        """Return one statement."""
        return self._texts[name]


def _fill(text: str, schema: str, parts: Mapping[str, str]) -> bytes:
    for name, part in parts.items():
        text = text.replace("{" + name + "}", part)
    # Without comments: psycopg converts a statement of more than 4,096 characters anew each time.
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    # The files are this package's own; psycopg wants a literal, which a file cannot be.
    statement = sql.SQL(code)  # pyright: ignore[reportArgumentType]
    return statement.format(schema=sql.Identifier(schema)).as_bytes(None)
