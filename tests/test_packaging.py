"""The shape of the repository: what an installation and a stranger's checkout rest on."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9_.~-])/(work|farm|root|home/[a-z]+|Users/[A-Za-z]+)/")

TEXT = {".py", ".md", ".toml", ".txt", ".sql", ".cfg", ".sh", ""}

OURS = ("actors", "runtime", "src", "tests", "examples", "docs", "benchmarks", "tools", ".ci")


def _project(*keys: str) -> Any:
    """A part of pyproject.toml."""
    part: Any = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for key in keys:
        part = part[key]
    return part


def _texts() -> list[Path]:
    files = [path for folder in OURS for path in (ROOT / folder).rglob("*")]
    files += [*ROOT.glob("[!.]*.*"), ROOT / "Makefile"]
    return [
        path for path in files if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts
    ]


@pytest.mark.parametrize("name", ["actors", "runtime"])
def test_the_links_of_the_front_door(name: str) -> None:
    """The two packages are links, so that an editable install and every tool find them."""
    link = ROOT / "src/rolebook" / name
    assert link.is_symlink(), "check out with git clone -c core.symlinks=true"
    assert os.fspath(link.readlink()) == f"../../{name}"


def test_every_front_door_is_packaged() -> None:
    """Each file beside the links is in the lists for the wheel and for the sdist."""
    doors = {f"src/rolebook/{path.name}" for path in (ROOT / "src/rolebook").iterdir() if path.is_file()}
    for target in ("wheel", "sdist"):
        assert doors <= set(_project("tool", "hatch", "build", "targets", target, "only-include"))


def test_no_paths_of_one_machine() -> None:
    """Nothing in the repository names a folder of somebody's own machine; the guard knows one."""
    assert all(MACHINE_PATH.search(f"{start}/home/ann/x") for start in ("", '"', "see "))
    assert {path.relative_to(ROOT).parts[0] for path in _texts()}.issuperset({*OURS, "Makefile", "README.md"})
    offences = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line) and path != Path(__file__)
    ]
    assert offences == []


def test_the_lock_names_every_requirement() -> None:
    """Whatever pyproject.toml asks for has an exact version in constraints.txt."""
    locked = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    groups: list[list[str]] = [_project("project", "dependencies")]
    groups += _project("project", "optional-dependencies").values()
    # The peers that the benchmarks compare with are installed for that alone, in their newest versions.
    groups += [group for name, group in _project("dependency-groups").items() if name != "bench"]
    wanted = [requirement for group in groups for requirement in group]
    names = {re.split(r"[\[<>=; ]", requirement)[0].lower() for requirement in wanted}
    assert names - locked == set()


def test_make_lists_its_targets() -> None:
    """`make` alone says what there is, and sets nothing up."""
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("setup", "demo", "test", "check", "package", "examples", "bench", "clean"):
        assert f"make {target}" in done.stdout


def test_a_half_made_environment_is_made_anew(tmp_path: Path) -> None:
    """When making it fails half-way, the next `make` does not take what is there for one."""
    (tmp_path / "tools").mkdir()
    for name in ("Makefile", "tools/find-python", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n"{sys.executable}" "$@" $([ "$1 $2" = "-m venv" ] && echo --without-pip) || exit\n'
        '[ "$1 $2" != "-m venv" ]\n'
    )
    python.chmod(0o755)
    command = ["make", ".venv/bin/python", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"Setting up .venv with {python}" in done.stdout
    assert done.returncode != 0
    assert not (tmp_path / ".venv/bin/python").exists()


def _find_python(folder: Path, version: str, *, venv: bool = True) -> subprocess.CompletedProcess[str]:
    """Look for an interpreter where `python3` is one that says it has this version."""
    major, minor, patch = version.split(".")
    program = folder / "python3"
    program.write_text(
        f"#!{sys.executable} -IS\n"
        "import sys\n"
        f"sys.version_info = ({major}, {minor}, {patch})\n"
        f"if not {venv}: sys.modules['ensurepip'] = None\n"
        "exec(sys.argv[2])\n"
    )
    program.chmod(0o755)
    environment = {"PATH": os.fspath(folder)}
    shell = str(shutil.which("sh"))
    return subprocess.run(
        [shell, ROOT / "tools/find-python"], env=environment, capture_output=True, text=True, check=False
    )


def test_a_suitable_python_is_found(tmp_path: Path) -> None:
    """Python 3.11 with its venv module will do."""
    done = _find_python(tmp_path, "3.11.0")
    assert done.stdout.strip() == os.fspath(tmp_path / "python3")


def test_a_too_old_python_gets_one_clear_sentence(tmp_path: Path) -> None:
    """The version that was found, the one that is needed, and what to do."""
    done = _find_python(tmp_path, "3.9.2")
    assert done.returncode == 1
    assert done.stderr == (
        "Rolebook needs Python 3.11 or newer (python3 is 3.9.2): "
        "install one, or name it with make PYTHON=...\n"
    )


def test_a_python_without_venv_gets_one_clear_sentence(tmp_path: Path) -> None:
    """Some distributions leave the module out; the package that brings it is named."""
    done = _find_python(tmp_path, "3.12.1", venv=False)
    assert done.returncode == 1
    assert "python3-venv" in done.stderr
    assert done.stderr.count("\n") == 1
