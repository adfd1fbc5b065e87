"""Which database a program uses."""

from pathlib import Path

import psycopg
import pytest

from rolebook.runtime.postgres import DatabaseUrlError, choose_database, open_database
from tests.databases import temporary_folder

EXPLICIT = "postgresql://ann:secret@first.example:5433/books"
CONFIGURED = "postgresql://bob:hidden@second.example/films"


def test_an_explicit_url_beats_the_environment() -> None:
    """`--database-url` wins."""
    choice = choose_database(EXPLICIT, {"DATABASE_URL": CONFIGURED})
    assert (choice.url, choice.source) == (EXPLICIT, "--database-url")


def test_the_environment_beats_the_embedded_server() -> None:
    """`DATABASE_URL` is used when nothing was given."""
    choice = choose_database(None, {"DATABASE_URL": CONFIGURED})
    assert (choice.url, choice.source) == (CONFIGURED, "DATABASE_URL")


@pytest.mark.parametrize("environment", [{}, {"DATABASE_URL": ""}])
def test_the_embedded_server_is_the_default(environment: dict[str, str]) -> None:
    """Without a URL, or with an empty variable, the embedded server is chosen."""
    choice = choose_database(None, environment)
    assert choice.url is None
    assert str(choice).startswith("database: embedded PostgreSQL")


def test_the_embedded_server_can_be_asked_for() -> None:
    """`embedded` as a URL beats a configured one."""
    assert choose_database("embedded", {"DATABASE_URL": CONFIGURED}).url is None


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (EXPLICIT, "database: books at first.example:5433 as ann (--database-url)"),
        ("host=/run/pg dbname=books password=secret", "database: books at /run/pg (--database-url)"),
        ("service=books", "database: books at the default host (--database-url)"),
    ],
)
def test_the_line_names_the_database_but_no_password(url: str, line: str) -> None:
    """One line says which database it is, without the password."""
    assert line == str(choose_database(url))


@pytest.mark.parametrize(
    "url", ["postgresql://ann:secret@[oops/books", "postgresql://ann:secret%ff@h/b", "nonsense", " ", ""]
)
def test_an_unreadable_url_is_an_error(url: str) -> None:
    """A URL that cannot be read names its source and the remedy, and not the password."""
    with pytest.raises(DatabaseUrlError, match=r"--database-url.*write it like") as caught:
        choose_database(url, {"DATABASE_URL": CONFIGURED})
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_configured_database_that_fails_is_an_error() -> None:
    """Nothing falls back to the embedded server: the caller gets the URL that fails."""
    url = "host=/nowhere dbname=books"
    async with open_database(choose_database(url)) as given:
        assert given == url
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(given)


async def test_an_embedded_database_of_ones_own() -> None:
    """The embedded server gives each program the database it names."""
    with temporary_folder() as folder:
        assert await _database_of("books", folder) == "books"
        assert await _database_of("books", folder) == "books"
        assert await _database_of('it\'s "odd" 100%?&', folder) == 'it\'s "odd" 100%?&'


async def _database_of(name: str, folder: Path) -> str:
    choice = choose_database(None, {})
    async with open_database(choice, folder=folder, database=name) as url:
        with psycopg.connect(url) as connection:
            return connection.info.dbname
