"""The pages about the model: every program in them runs."""

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [
    "how-to/evolve-an-event.md",
    "how-to/test-an-actor.md",
    "reference/actors.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_programs_of_a_page_run(page: str) -> None:
    """All Python of a page, from top to bottom, as one program."""
    text = (DOCS / page).read_text()
    programs = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert programs
    names: dict[str, Any] = {"__name__": "page"}
    for program in programs:
        exec(compile(program, page, "exec"), names)
