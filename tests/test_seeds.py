"""One seed decides what a run of the tests plays."""

import subprocess
from pathlib import Path

import hypothesis.core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import seeds


def _played() -> list[list[int]]:
    """What a property is given in one run."""
    found: list[list[int]] = []

    @settings(max_examples=20, database=None)
    @given(st.lists(st.integers()))
    def play(numbers: list[int]) -> None:
        found.append(numbers)

    play()
    return found


def test_the_same_seed_plays_the_same_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And another seed plays others: also in CI, where Hypothesis by itself plays the same ones each time."""
    monkeypatch.setattr(hypothesis.core, "global_force_seed", 1)
    first = _played()
    assert _played() == first
    monkeypatch.setattr(hypothesis.core, "global_force_seed", 2)
    assert _played() != first


def test_this_run_has_one_seed() -> None:
    """What Hypothesis plays with is the seed that is printed, and that a process of this run inherits."""
    assert getattr(hypothesis.core, "global_force_seed") == seeds.seed()  # noqa: B009 - it is typed as None
    assert not settings().derandomize


def test_ci_takes_the_seed_from_the_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each change plays new programs, and the same change the same ones; what is given goes first."""
    monkeypatch.setattr(seeds, "_commit", lambda: "00000abc" + "0" * 32)
    assert seeds.choose({"CI": "true"}) == (0xABC, "of commit 00000abc")
    assert seeds.choose({"CI": "true", seeds.VARIABLE: "7"}) == (7, "ROLEBOOK_SEED is set")
    assert seeds.choose({})[1] == "drawn"
    assert seeds.choose({})[0] != seeds.choose({})[0]
    monkeypatch.setattr(seeds, "_commit", lambda: None)  # a source distribution has no commit
    assert seeds.choose({"CI": "true"})[1] == "drawn"


def test_the_commit_is_that_of_the_clone() -> None:
    """Outside of a clone there is none."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    commit = seeds._commit()  # pyright: ignore[reportPrivateUsage]
    assert commit == (asked.stdout.strip() if asked.returncode == 0 else None)


def test_a_failure_says_how_to_repeat_it() -> None:
    """The command has the seed and the test."""
    assert seeds.repeat("tests/test_x.py::test_y") == (
        f"ROLEBOOK_SEED={seeds.seed()} make test ARGS='tests/test_x.py::test_y'"
    )
