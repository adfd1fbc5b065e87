"""The fixtures of the contract: every test runs on both stores."""

from collections.abc import AsyncGenerator
from functools import partial

import pytest

from tests.stores import Bench, OpenBench, open_memory_bench, open_postgres_bench


@pytest.fixture(params=["memory", "postgres"])
def open_bench(request: pytest.FixtureRequest) -> OpenBench:
    """How to open a bench on the store of this run."""
    if request.param == "memory":
        return partial(open_memory_bench)
    return partial(open_postgres_bench, request.getfixturevalue("migrated_url"))


@pytest.fixture
async def bench(open_bench: OpenBench) -> AsyncGenerator[Bench]:
    """A bench on the store of this run."""
    async with open_bench() as bench:
        yield bench
