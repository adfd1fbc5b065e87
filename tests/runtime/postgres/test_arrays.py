"""Columns of texts on their way into the database."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import psycopg
import pytest

from rolebook.runtime.postgres import Connection, connect_session
from rolebook.runtime.postgres._arrays import nullable_texts, texts

ODD = [
    "",
    " ",
    "a,b",
    "{}",
    "NULL",
    '"',
    "\\",
    '\\"',
    '{"a":"\\n"}',
    "\n\t",
    "\x01",
    "'",
    "é",
    "\U0001f600",
    '","',
]


@pytest.fixture
async def connection(database_url: str) -> AsyncGenerator[Connection]:
    """A session that reads arrays back."""
    async with await connect_session(database_url, role="test", process="arrays") as connection:
        yield connection


@pytest.mark.parametrize("values", [ODD, ODD[:1], [ODD[5]] * 3, []])
async def test_texts_arrive_as_they_are(connection: Connection, values: list[str]) -> None:
    """Quotes, backslashes, commas and empty texts do not move the borders between values."""
    answer = await connection.execute(
        "select %s::text[], %s::text[]", (texts(values), nullable_texts(values))
    )
    assert await answer.fetchone() == (values, values)


async def test_nulls_among_texts_stay_nulls(connection: Connection) -> None:
    """A null is not the text of that name."""
    values = [None, *ODD, None, ""]
    answer = await connection.execute("select %s::text[]", (nullable_texts(values),))
    assert await answer.fetchone() == (values,)


async def test_nothing_but_nulls_is_no_column(connection: Connection) -> None:
    """Beside a full column, `unnest` fills up with nulls."""
    answer = await connection.execute(
        "select * from unnest(%s::text[], %s::text[])", (texts(["a", "b"]), nullable_texts([None, None]))
    )
    assert await answer.fetchall() == [("a", None), ("b", None)]


@pytest.mark.parametrize("values", [["a\0b"], ["a", "b\0"], ["\0", '","']])
async def test_a_nul_is_refused(connection: Connection, values: list[str]) -> None:
    """The database takes none; and it must not pass for the border between two texts."""
    for literal in (texts(values), nullable_texts(values), nullable_texts([None, *values])):
        with pytest.raises(psycopg.DataError, match="NUL"):
            await connection.execute("select %s::text[]", (literal,))
