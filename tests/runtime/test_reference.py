"""The reference of the runtime says what the code says."""

from pathlib import Path

import attrs

import rolebook as rb

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "runtime.md"


def test_every_setting_is_in_the_reference() -> None:
    """Each field of `Settings` has a row with its default, and no row speaks of another field."""
    text = PAGE.read_text(encoding="utf-8").split("## `Settings`")[1].split("### Drift")[0]
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    found = {name.strip(" `"): default.strip(" `").replace('"', "'") for name, default in rows}
    settings = rb.Settings()
    expected = {field.name: repr(getattr(settings, field.name)) for field in attrs.fields(rb.Settings)}
    expected["backoff"] = "Backoff(cap=5.0)"
    assert expected == found
