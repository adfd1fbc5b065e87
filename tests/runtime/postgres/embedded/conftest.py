"""Folders for servers; everything in them is stopped and removed at the end of the test."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.databases import prepared_folder, temporary_folder


@pytest.fixture
def fresh() -> Generator[Path]:
    """An empty folder: the first start makes a cluster."""
    with temporary_folder() as path:
        yield path


@pytest.fixture
def folder() -> Generator[Path]:
    """A folder with a cluster that is not running."""
    with prepared_folder() as path:
        yield path
