"""Who may import whom: the rules that the linter cannot express, read from the source itself."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

ROOT = Path(__file__).parents[1]

FOLDERS = ("actors", "runtime", "src/rolebook", "tests", "examples", "benchmarks", "tools")

BANNED = {
    "actors": {"rolebook.runtime", "psycopg", "actors", "runtime", "asyncio"},
    "runtime": {"actors", "runtime", "asyncio"},
}

EVERYWHERE = {"actors", "runtime"}
"""From the top of the repository these can be imported too, and would be a second copy of every class."""


def _files(folder: str) -> Iterator[Path]:
    # The two links in src/rolebook lead to what is read at the top already.
    found = (ROOT / folder).glob("*.py") if folder.startswith("src") else (ROOT / folder).rglob("*.py")
    files = sorted(found)
    assert files, f"{folder} has no files: a guard of nothing"
    return iter(files)


def _imports(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports, `from a import b` also as a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _relative_targets(path: Path, folder: str) -> Iterator[str]:
    """The relative imports of a file that climb out of its folder at the top."""
    depth = len(path.relative_to(ROOT / folder).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level > depth:
            yield "." * node.level + (node.module or "")


def _offends(name: str, banned: set[str]) -> bool:
    return any(name == ban or name.startswith(f"{ban}.") for ban in banned)


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_keep_to_the_layers(folder: str) -> None:
    """`actors` knows neither runtime nor database; nobody imports the folders by their bare names."""
    banned = BANNED.get(folder, EVERYWHERE)
    offences = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _files(folder)
        for name in _imports(path)
        if _offends(name, banned)
    ]
    assert offences == []


@pytest.mark.parametrize("folder", ["actors", "runtime"])
def test_relative_imports_stay_inside(folder: str) -> None:
    """Across the two folders one writes `from rolebook.actors import ...`."""
    offences = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _files(folder)
        for name in _relative_targets(path, folder)
    ]
    assert offences == []


ROOMS: Mapping[str, set[str]] = MappingProxyType(
    {
        "contract": set(),
        "system": {"contract"},
        "client": {"contract", "system"},
        "handlers": {"contract", "system"},
        "memory": {"contract"},
        "postgres": {"contract"},
    }
)
"""Each room of the runtime, and the rooms it may know. What opens and arranges stands above all of them."""

SHARED = {"_settings"}
"""What stands beside the rooms and every room may know."""


def _neighbours(path: Path, room: str) -> Iterator[str]:
    """What a file of a room takes from outside of the room: modules as dotted names below `runtime`."""
    depth = len(path.relative_to(ROOT / "runtime" / room).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level > depth:
            yield from [node.module] if node.module else [alias.name for alias in node.names]


def _opens_a_wrong_door(name: str, room: str) -> bool:
    return name not in SHARED and name not in ROOMS[room]


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_have_doors(room: str) -> None:
    """A room knows only those that stand below it, and takes from them what they hand out at their door."""
    offences = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _files(f"runtime/{room}")
        for name in _neighbours(path, room)
        if _opens_a_wrong_door(name, room)
    ]
    assert offences == []


def test_the_guard_of_the_rooms_sees_an_offence() -> None:
    """Another room, another room's private module, and what arranges the rooms are each an offence."""
    assert not _opens_a_wrong_door("contract", "client")
    assert _opens_a_wrong_door("handlers", "client")
    assert _opens_a_wrong_door("contract._rows", "client")
    assert _opens_a_wrong_door("_runtime", "handlers")
    path = ROOT / "runtime" / "client" / "_client.py"
    assert {"contract", "_settings"} <= set(_neighbours(path, "client"))


def test_private_modules_are_private() -> None:
    """Across the two folders nobody reaches into a private module."""
    offences = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _files("runtime")
        for name in _imports(path)
        if name.startswith("rolebook.") and "._" in name
    ]
    assert offences == []


def test_the_guard_sees_an_offence(tmp_path: Path) -> None:
    """The reader of imports finds each way to write one."""
    path = tmp_path / "offender.py"
    path.write_text(
        "import actors.x\nfrom runtime import y\nfrom rolebook import runtime\ndef f(): import psycopg\n"
    )
    assert {name for name in _imports(path) if _offends(name, BANNED["actors"])} == {
        "actors.x",
        "runtime",
        "runtime.y",
        "rolebook.runtime",
        "psycopg",
    }
