"""Where the server's programs are found, and what is said when they are not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rolebook.runtime.postgres.embedded import BinariesNotFoundError, find_binaries
from rolebook.runtime.postgres.embedded._binaries import OLDEST_MAJOR


def _install(folder: Path, answer: str) -> Path:
    """Programs that say a version; they are real programs, only not PostgreSQL's."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb", "pg_ctl"):
        (folder / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting from outside."""
    monkeypatch.delenv("ROLEBOOK_PG_BIN", raising=False)


@pytest.mark.usefixtures("nothing_set")
def test_this_machine_has_programs() -> None:
    """The tests' own machine has a PostgreSQL that is new enough."""
    binaries = find_binaries()
    assert binaries.major >= OLDEST_MAJOR
    assert binaries.version.startswith(str(binaries.major))


@pytest.mark.parametrize(
    ("answer", "version", "major"),
    [
        ("postgres (PostgreSQL) 18.4", "18.4", 18),
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18", 15),
        ("postgres (PostgreSQL) 19beta1", "19beta1", 19),
    ],
)
def test_versions_are_read(tmp_path: Path, answer: str, version: str, major: int) -> None:
    """Releases, distributions and betas say their version in their own ways."""
    binaries = find_binaries(_install(tmp_path / "bin", answer))
    assert (version, major) == (binaries.version, binaries.major)


@pytest.mark.usefixtures("nothing_set")
def test_the_setting_beats_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An explicit folder wins over the environment, which wins over everything found."""
    setting = _install(tmp_path / "a", "postgres (PostgreSQL) 16.1")
    variable = _install(tmp_path / "b", "postgres (PostgreSQL) 17.1")
    monkeypatch.setenv("ROLEBOOK_PG_BIN", str(variable))
    assert find_binaries(setting).version == "16.1"
    assert find_binaries().version == "17.1"


def _too_old(folder: Path) -> Path:
    return _install(folder / "bin", "postgres (PostgreSQL) 13.9")


def _broken(folder: Path) -> Path:
    return _install(folder / "bin", "no version here")


def _empty(folder: Path) -> Path:
    return folder


@pytest.mark.parametrize(
    ("make", "reason"),
    [(_too_old, "13.9 is too old"), (_broken, "does not run"), (_empty, "no postgres, initdb, pg_ctl")],
)
def test_a_setting_that_does_not_work_is_an_error(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    """It is not passed over for something else; the message has the reason and the remedies."""
    with pytest.raises(BinariesNotFoundError, match=reason) as caught:
        find_binaries(make(tmp_path))
    for remedy in (".[embedded]", "ROLEBOOK_PG_BIN", "--database-url", "DATABASE_URL"):
        assert remedy in str(caught.value)
