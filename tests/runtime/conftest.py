"""Fixtures for tests of the running runtime: a database of the test's own, and a look into it."""

from collections.abc import AsyncIterator

import pytest

from tests.runtime.looking import Looking
from understudy.runtime.postgres import Connection


@pytest.fixture
async def looking(database_url: str) -> AsyncIterator[Looking]:
    """A connection of the test's own, to see what is stored and to do by SQL what others might."""
    connection = await Connection.connect(database_url, autocommit=True)
    async with connection:
        yield Looking(connection)
