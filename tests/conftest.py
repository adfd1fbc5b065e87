"""Fixtures for every test: a PostgreSQL server for the session, a database for the test."""

import os
from collections.abc import Iterator

import pytest

from rolebook.runtime.postgres.embedded import PostgresServer
from tests import databases, stores
from tests.databases import Choice, ChoiceError, TestServer

_CHOICE = pytest.StashKey[tuple[Choice, str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the server before anything runs: without one the run stops, with the remedies."""
    try:
        config.stash[_CHOICE] = databases.choose(os.environ)
    except ChoiceError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> str:
    """Say which server the tests run on."""
    return f"database: {config.stash[_CHOICE][1]}"


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[TestServer]:
    """A PostgreSQL server for the whole session; `postgres.url` may create databases."""
    choice, _ = pytestconfig.stash[_CHOICE]
    with choice.serve() as server:
        yield server


@pytest.fixture
def database_url(postgres: TestServer) -> Iterator[str]:
    """The URL of a fresh and empty database of this test's own."""
    with databases.temporary_database(postgres.url) as url:
        yield url


@pytest.fixture(scope="session")
def shared_database(postgres: TestServer) -> Iterator[str]:
    """A database with the runtime's schema, for the whole session."""
    url = stores.create_migrated(postgres.url)
    yield url
    databases.drop_database(postgres.url, url)


@pytest.fixture
def migrated_url(shared_database: str) -> Iterator[str]:
    """The URL of a database that has the runtime's schema, and nothing in it.

    Tests take turns with one: emptying it takes a fiftieth of the time of making another. A test that leaves
    more behind than rows takes `migrated_database`.
    """
    yield shared_database
    stores.empty(shared_database)


@pytest.fixture
def migrated_database(postgres: TestServer) -> Iterator[str]:
    """The URL of a database of this test's own that has the runtime's schema, and nothing in it."""
    url = stores.create_migrated(postgres.url)
    yield url
    databases.drop_database(postgres.url, url)


@pytest.fixture
def private_server() -> Iterator[PostgresServer]:
    """A running embedded server of this test's own, which it may stop, kill and start."""
    with databases.private_server() as server:
        yield server
