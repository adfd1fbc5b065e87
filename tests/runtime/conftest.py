"""Fixtures for tests of the running runtime: a database of the test's own, and a look into it."""

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial

import pytest

from rolebook.runtime.contract import Store
from tests.runtime.looking import Looking, looking_at
from tests.stores import OpenBench, open_memory_bench, open_postgres_bench


@pytest.fixture
def database_url(usual_url: str) -> str:
    """A database that is migrated already: what a runtime does at its first start has its own tests."""
    return usual_url


@pytest.fixture
async def looking(database_url: str) -> AsyncIterator[Looking]:
    """A connection of the test's own, to see what is stored and to do by SQL what others might."""
    async with looking_at(database_url) as found:
        yield found


@pytest.fixture(params=["memory", "postgres"])
def open_bench(request: pytest.FixtureRequest) -> OpenBench:
    """How to open a bench on the store of this run."""
    if request.param == "memory":
        return open_memory_bench
    return partial(open_postgres_bench, request.getfixturevalue("migrated_url"))


@pytest.fixture
async def store(open_bench: OpenBench) -> AsyncGenerator[Store]:
    """A store with nothing in it: the test runs on both kinds."""
    async with open_bench() as bench:
        yield bench.store
