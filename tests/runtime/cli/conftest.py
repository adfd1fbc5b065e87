"""A database with the schema in it, and a way to speak to it."""

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from tests.programs import Ended, run

CLI = "rolebook.runtime.cli"
SHOP = "tests.runtime.cli.shop:app"


class Database:
    """A database that was migrated from the command line."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg.connect(url, autocommit=True)

    def ask(self, query: LiteralString, *parameters: Any) -> Any:
        """Run a statement; returns the first value of its first row, if there is one."""
        cursor = self.connection.execute(query, parameters)
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]

    def sell(self, key: str, amount: int) -> None:
        """Tell a shop to sell."""
        self.ask(
            "select rolebook.tell('shop', %s, 'shop.sell', json_build_object('amount', %s::int))",
            key,
            amount,
        )

    def wrap(self, seconds: float) -> None:
        """Send a message to the queue that fails, or never ends."""
        self.ask(
            "select rolebook.enqueue('wrapping', 'shop.wrap', json_build_object('seconds', %s::float8))",
            seconds,
        )

    def rolebook(self, *arguments: str) -> Ended:
        """Run a command on this database."""
        return run(CLI, *arguments, env={"DATABASE_URL": self.url})


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database."""
    database = Database(database_url)
    with database.connection:
        migrated = database.rolebook("migrate")
        assert migrated.code == 0, migrated.text
        yield database


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """An empty database: here it matters what is not there yet."""
    return empty_database_url
