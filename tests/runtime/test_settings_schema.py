"""The name of the schema."""

import pytest

from understudy.actors import InvalidSetting
from understudy.runtime import Settings


@pytest.mark.parametrize("name", ["understudy", "Shop_2", "_x", "x" * 63])
def test_a_plain_identifier_is_a_name(name: str) -> None:
    """Letters, digits and underscores, up to 63 bytes."""
    assert Settings(schema=name).schema == name


@pytest.mark.parametrize("name", ["", "1st", "a b", 'a"b', "a%s", "{x}", "x" * 64, "häuser"])
def test_anything_else_is_refused(name: str) -> None:
    """The error names the setting, the value and the remedy."""
    with pytest.raises(InvalidSetting, match=r"schema: .* is no name for a schema; give 1 to 63 letters"):
        Settings(schema=name)
