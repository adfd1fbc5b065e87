"""Settings that are refused: the names of the schema and of the process, and bounds in bytes."""

from typing import Any

import pytest

import rolebook as rb
from rolebook.actors import InvalidSetting
from rolebook.runtime import Settings
from tests.runtime.apps import Account


@pytest.mark.parametrize("name", ["rolebook", "Shop_2", "_x", "x" * 63])
def test_a_plain_identifier_is_a_name(name: str) -> None:
    """Letters, digits and underscores, up to 63 bytes."""
    assert Settings(schema=name).schema == name


@pytest.mark.parametrize("name", ["", "1st", "a b", 'a"b', "a%s", "{x}", "x" * 64, "häuser"])
def test_anything_else_is_refused(name: str) -> None:
    """The error names the setting, the value and the remedy."""
    with pytest.raises(InvalidSetting, match=r"schema: .* is no name for a schema; give 1 to 63 letters"):
        Settings(schema=name)


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a\\b", "a\n", "ä", "x" * 129])
def test_a_process_name_stands_in_every_message(name: str) -> None:
    """One that could not is refused when the runtime is made."""
    with pytest.raises(InvalidSetting, match="is no name for a process"):
        rb.Runtime(rb.App("app", actors=[Account]), process=name)


def test_a_process_has_a_name_of_its_own() -> None:
    """Without one given it is made of the app, the host and the process."""
    app = rb.App("app", actors=[Account])
    first, second = rb.Runtime(app).process, rb.Runtime(app, process="it's#1@home").process
    assert first.startswith("app@")
    assert second == "it's#1@home"


@pytest.mark.parametrize("name", ["mailbox_bytes", "batch_bytes", "replay_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1024 * 1024 - 1, 2.0**21, "64 MB", None, True])
def test_a_bound_in_bytes_is_a_mebibyte_at_least(name: str, value: object) -> None:
    """The error names the setting, the value and what to give."""
    settings: Any = Settings
    with pytest.raises(InvalidSetting, match=rf"{name}: .* is out of bounds; give 1048576 bytes"):
        settings(**{name: value})
    assert getattr(settings(**{name: 1024 * 1024}), name) == 1024 * 1024
