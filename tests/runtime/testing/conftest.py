"""Fixtures for tests of the plugin."""

import pytest


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """An empty database: here it matters what is not there yet."""
    return empty_database_url
