"""The pytest plugin. Nothing in it starts before a test asks for a fixture."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import pytest

from .._settings import Settings
from ..memory import MemoryStore
from ._databases import NoDatabase, open_server, temporary_database
from ._runtimes import OpenRuntime

START: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""When every store in memory begins: the moment of `given(...).when(...)`."""

# In memory every doorbell is heard. To look every few seconds regardless would make a virtual week long.
_QUIET: Final = Settings(poll_interval=1e7, health_interval=1e7, check_purity=True)


@pytest.fixture
def memory_runtime() -> OpenRuntime:
    """Opens runtimes in memory.

    Write `async with memory_runtime(app) as runtime`.
    With pytest-trio's `autojump_clock` beside it, time is virtual: an hour's delay takes no time. The store
    begins at midnight of 1 January 2000, UTC. Nothing polls: wake-ups in memory are not lost. Each turn is
    computed twice and compared (`Settings.check_purity`).
    """
    return OpenRuntime(MemoryStore(start=START), _QUIET)


@pytest.fixture(scope="session")
def rolebook_server() -> Iterator[str]:
    """The URL of a server for tests: `TEST_DATABASE_URL`, or an embedded one that is removed at the end."""
    try:
        with open_server() as url:
            yield url
    except NoDatabase as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def rolebook_database(rolebook_server: str) -> Iterator[str]:
    """The URL of a new and empty database of this test's own, which is dropped at its end."""
    with temporary_database(rolebook_server) as url:
        yield url


@pytest.fixture
def database_runtime(rolebook_database: str) -> OpenRuntime:
    """Opens runtimes on a throw-away database.

    Write `async with database_runtime(app) as runtime`.
    """
    return OpenRuntime(rolebook_database)
