"""The pages that build something: their files are written, and their commands run, from top to bottom.

A block with a title, as in `python title="bank.py"`, is a file; a later one of the same title replaces it.
A block of `console` has commands, after `$`, and lines that their output has in it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from attrs import frozen

from tests.databases import TestServer

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SETTING_UP = (". ", "pip ", "python -m venv ")
"""Commands that the environment of the tests has behind it."""


@frozen
class Block:
    """A fenced block of a page."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All blocks of a page."""
    return [Block(*found.groups(default="")) for found in BLOCK.finditer(page.read_text())]


PAGES = [page for page in sorted(DOCS.rglob("*.md")) if any(block.title for block in blocks(page))]


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that follow it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *lines = part.splitlines()
        yield command, [line for line in lines if line]


def follow(page: Path, folder: Path, env: Mapping[str, str]) -> int:
    """Do what a page says; returns how many commands were run."""
    ran = 0
    for block in blocks(page):
        if block.title:
            (folder / block.title).write_text(block.text)
        elif block.language == "console":
            for command, expected in commands(block.text):
                if not command.startswith(SETTING_UP):
                    run(command, expected, folder, env)
                    ran += 1
    return ran


def run(command: str, expected: list[str], folder: Path, env: Mapping[str, str]) -> None:
    """Run a command, and look for each line in what it prints."""
    program, *arguments = command.split()
    assert program == "python", command
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"$ {command}\n{said}"
    for line in expected:
        assert line in said, f"$ {command}\nhas no {line!r} in\n{said}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(
    page: Path, tmp_path: Path, postgres: TestServer, database_url: str
) -> None:
    """Whoever copies its files and runs its commands sees what it shows."""
    env = {**os.environ, "DATABASE_URL": database_url, "TEST_DATABASE_URL": postgres.url}
    assert follow(page, tmp_path, env) > 0


def test_a_page_that_is_wrong_is_found(tmp_path: Path) -> None:
    """The control: other output than the page shows, or a command that fails."""
    page = tmp_path / "page.md"
    for text, words in [("print(1)", "has no '2' in"), ("1 / 0", "ZeroDivisionError")]:
        page.write_text(f'```python title="a.py"\n{text}\n```\n\n```console\n$ python a.py\n2\n```\n')
        with pytest.raises(AssertionError, match=words):
            follow(page, tmp_path, os.environ)
