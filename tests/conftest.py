"""Fixtures for every test: a PostgreSQL server for the session, a database for the test."""

import os
from collections.abc import Generator, Iterator

import hypothesis.core
import pytest

from rolebook.runtime.postgres.embedded import PostgresServer
from tests import databases, seeds, stores
from tests.databases import Choice, ChoiceError, TestServer
from tests.lending import Lender

_CHOICE = pytest.StashKey[tuple[Choice, str]]()
_SEED = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the server and the seed before anything runs: without a server the run stops, with remedies."""
    chosen, source = seeds.choose(os.environ)
    os.environ[seeds.VARIABLE] = str(chosen)
    config.stash[_SEED] = f"{seeds.VARIABLE}={chosen} ({source})"
    hypothesis.settings.register_profile(
        "rolebook",
        derandomize=False,
        deadline=None,
        print_blob=True,
        suppress_health_check=[
            hypothesis.HealthCheck.too_slow
        ],  # as a deadline, it would measure the machine
    )
    hypothesis.settings.load_profile("rolebook")
    setattr(hypothesis.core, "global_force_seed", chosen)  # noqa: B010 - it is typed as never set; what the option --hypothesis-seed sets
    try:
        config.stash[_CHOICE] = databases.choose(os.environ)
    except ChoiceError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> str:
    """Say which server the tests run on, and what they draw from."""
    return f"database: {config.stash[_CHOICE][1]}\nseed: {config.stash[_SEED]}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every property as seeded, for `make explore`."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("seeded")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say how to repeat a failure. Half characters are written out: no report carries them elsewhere."""
    report = yield
    if report.failed:
        report.sections.append(("repeat it", seeds.repeat(item.nodeid)))
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[TestServer]:
    """A PostgreSQL server for the whole session; `postgres.url` may create databases."""
    choice, _ = pytestconfig.stash[_CHOICE]
    with choice.serve() as server:
        yield server


@pytest.fixture
def empty_database_url(postgres: TestServer) -> Iterator[str]:
    """The URL of a fresh and empty database of this test's own."""
    with databases.temporary_database(postgres.url) as url:
        yield url


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """The URL of a database for this test; some folders give one with the schema in it."""
    return empty_database_url


@pytest.fixture(scope="session")
def lend_small(postgres: TestServer) -> Iterator[Lender]:
    """Lends databases with the few partitions of the stores' tests."""
    lender = Lender(postgres.url, stores.PARTITIONS)
    yield lender
    lender.close()


@pytest.fixture(scope="session")
def lend_usual(postgres: TestServer) -> Iterator[Lender]:
    """Lends databases with as many partitions as an app gets by default."""
    lender = Lender(postgres.url, 32)
    yield lender
    lender.close()


@pytest.fixture
def migrated_url(lend_small: Lender) -> Iterator[str]:
    """The URL of a lent database that has the runtime's schema, and nothing in it."""
    with lend_small.lend() as url:
        yield url


@pytest.fixture
def usual_url(lend_usual: Lender) -> Iterator[str]:
    """The same, with as many partitions as an app gets by default."""
    with lend_usual.lend() as url:
        yield url


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
