"""The tests' own database fixtures."""

import psycopg
import pytest

from rolebook.runtime.postgres.embedded import PostgresServer
from tests import databases
from tests.databases import ChoiceError, Embedded, TestServer, Url


def test_a_database_of_its_own(database_url: str) -> None:
    """Each test gets an empty database that is not the server's own."""
    with psycopg.connect(database_url) as connection:
        assert connection.info.dbname.startswith("rolebook_test_")
        tables = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchone()
    assert tables == (0,)


def test_a_database_is_dropped_under_its_users(postgres: TestServer) -> None:
    """A session that a test forgot does not keep its database alive."""
    with databases.temporary_database(postgres.url) as url:
        forgotten = psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError):
        forgotten.execute("SELECT 1")
    forgotten.close()
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_database WHERE datname = %s", [databases.database_name(url)]
        ).fetchone()
    assert row == (0,)


def test_a_database_from_a_template(postgres: TestServer) -> None:
    """A template's tables are in the databases made from it."""
    with databases.temporary_database(postgres.url) as template:
        with psycopg.connect(template) as connection:
            connection.execute("CREATE TABLE parts AS SELECT 'Hamlet' AS role")
        with (
            databases.temporary_database(postgres.url, databases.database_name(template)) as url,
            psycopg.connect(url) as connection,
        ):
            assert connection.execute("SELECT role FROM parts").fetchone() == ("Hamlet",)


def test_a_private_server_can_be_stopped_and_started(private_server: PostgresServer) -> None:
    """A test may take its own server down and bring it back, at the same URL."""
    url = private_server.url
    private_server.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    private_server.start()
    assert private_server.url == url
    psycopg.connect(url).close()


def test_an_unknown_choice_is_an_error() -> None:
    """A typing error in the setting does not silently mean auto."""
    with pytest.raises(ChoiceError, match="none of auto, docker, url, embedded"):
        databases.choose({"ROLEBOOK_TEST_PG": "embeded"})


def test_an_explicit_url_must_be_there() -> None:
    """The choice `url` without a URL is an error, not another choice."""
    with pytest.raises(ChoiceError, match="neither TEST_DATABASE_URL nor DATABASE_URL"):
        databases.choose({"ROLEBOOK_TEST_PG": "url"})


def test_an_unreachable_url_is_an_error() -> None:
    """A configured server that does not answer stops the run."""
    with pytest.raises(ChoiceError, match="cannot be reached"):
        databases.choose({"ROLEBOOK_TEST_PG": "url", "DATABASE_URL": "host=/nowhere user=nobody"})


def test_an_explicit_url(postgres: TestServer) -> None:
    """A plain DATABASE_URL counts when the choice is explicitly `url`."""
    choice, line = databases.choose({"ROLEBOOK_TEST_PG": "url", "DATABASE_URL": postgres.url})
    assert choice == Url(postgres.url, "DATABASE_URL")
    assert "at DATABASE_URL" in line


def test_the_embedded_choice_names_its_version() -> None:
    """The report's header tells the server's version."""
    choice, line = databases.choose({"ROLEBOOK_TEST_PG": "embedded"})
    assert choice == Embedded()
    assert "embedded PostgreSQL 1" in line
