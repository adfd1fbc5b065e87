"""Effects and keys: plain values that are checked where they are made."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

import rolebook as rb
from rolebook.actors import actor_name, check_key

from .bank import Account, Look


def test_effects_are_values() -> None:
    """Two effects of the same content are equal."""
    assert rb.Tell(Account, "a", Look()) == rb.Tell(Account, "a", Look())
    assert rb.Enqueue("mail", Look(), key="a") != rb.Enqueue("mail", Look(), key="b")
    assert rb.Stop() == rb.Stop()


def test_actor_is_named_by_class_or_by_name() -> None:
    """Another app's actor is told by name."""
    assert rb.Tell(Account, "a", Look()).queue == rb.Tell("account", "a", Look()).queue == "account"

    @define
    class NoActor:
        pass

    with pytest.raises(rb.DefinitionError, match="NoActor is no actor"):
        actor_name(NoActor)
    wrong: Any = Account()
    with pytest.raises(rb.DefinitionError, match=r"Account\(balance=0\) is no actor; give the actor's class"):
        actor_name(wrong)


def test_delay_is_seconds_or_a_timedelta() -> None:
    """Both mean the same."""
    assert rb.Tell(Account, "a", Look(), delay=timedelta(minutes=1)).delay_seconds == 60
    assert rb.Enqueue("mail", Look(), delay=0.5).delay_seconds == 0.5
    assert rb.Enqueue("mail", Look()).delay_seconds is None


@pytest.mark.parametrize(
    "bad",
    [
        {"delay": -1},
        {"delay": float("nan")},
        {"delay": float("inf")},
        {"delay": timedelta(seconds=-1)},
        {"at": datetime(2020, 1, 1)},  # noqa: DTZ001
        {"at": datetime(2020, 1, 1, tzinfo=UTC), "delay": 1},
        {"priority": 2},
        {"priority": "high"},
        {"priority": True},
        {"priority": 1.0},
        {"priority": None},
        {"delay": "5"},
        {"delay": True},
        {"delay": 1e11},
        {"delay": timedelta.max},
        {"at": "2020-01-01T00:00:00Z"},
        {"at": date(2020, 1, 1)},
        {"headers": {"a": "\ud800"}},
        {"headers": {"\ud800": "a"}},
        {"headers": {"a": 1}},
        {"headers": {1: "a"}},
    ],
)
def test_bad_sends_are_refused(bad: dict[str, Any]) -> None:
    """The decider's own line is in the traceback, not the writer's."""
    with pytest.raises(rb.EffectError):
        rb.Tell(Account, "a", Look(), **bad)
    with pytest.raises(rb.EffectError):
        rb.Enqueue("mail", Look(), **bad)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "not empty"),
        ("a\0b", "no NUL"),
        ("x" * 513, "at most 512 bytes"),
        ("ä" * 257, "at most 512 bytes, this one 514"),
        ("x" * 10_000, "at most 512 bytes"),
        ("\ud800", "lone surrogate"),
        (7, "a key is a str"),
        (None, "a key is a str"),
        (b"a", "a key is a str"),
    ],
)
def test_bad_keys_are_refused(key: Any, problem: str) -> None:
    """A key that PostgreSQL could not hold never gets that far."""
    with pytest.raises(rb.InvalidKey, match=problem):
        check_key(key)
    with pytest.raises(rb.InvalidKey, match=problem):
        rb.Tell(Account, key, Look())


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=128))
def test_any_other_text_is_a_key(key: str) -> None:
    """Keys are data: any text of 1 to 512 bytes."""
    assert check_key(key) == key
