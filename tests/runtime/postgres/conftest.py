"""Fixtures of the tests on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from tests.proxy import Proxy, open_proxy


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    """A wire to this test's database that can be cut."""
    async with open_proxy(database_url) as proxy:
        yield proxy


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """An empty database: here it matters what is not there yet."""
    return empty_database_url
