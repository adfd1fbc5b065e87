"""Fixtures for the chaos tests: a database of the test's own, and a look into it."""

from collections.abc import AsyncIterator

import pytest

from tests.runtime.looking import Looking, looking_at


@pytest.fixture
async def looking(database_url: str) -> AsyncIterator[Looking]:
    """A connection of the test's own, to see what is stored and to do by SQL what others might."""
    async with looking_at(database_url) as found:
        yield found
