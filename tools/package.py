"""Build the sdist, build the wheel from it, install that into a fresh environment, and check it there."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
CONSUMER = Path(__file__).with_name("consumer.py")


def main() -> None:
    """Do all of it; the first thing that is wrong ends it with a message."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, ROOT, quiet=True)
    (wheel,) = DIST.glob("*.whl")
    check_contents(wheel)
    with tempfile.TemporaryDirectory() as scratch:
        check_installed(wheel, Path(scratch))
    print(f"{wheel.name} is in order")


def check_contents(wheel: Path) -> None:
    """Nothing but `rolebook` lands at the top level, and no file of the source is missing."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    inside = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    foreign = {name for name in inside if not name.startswith("rolebook/")}
    demand(not foreign, f"the wheel puts these at the top level: {sorted(foreign)}")
    missing = expected() - inside
    demand(not missing, f"the wheel lacks {sorted(missing)}")
    surplus = inside - expected()
    demand(not surplus, f"the wheel has what is no part of the source: {sorted(surplus)}")


def expected() -> set[str]:
    """What the wheel must hold: every file of the two packages and of the front door."""
    packages = [path for folder in ("actors", "runtime") for path in (ROOT / folder).rglob("*")]
    files = {f"rolebook/{path.relative_to(ROOT).as_posix()}" for path in packages if is_source(path)}
    doors = (ROOT / "src/rolebook").iterdir()
    return files | {f"rolebook/{path.name}" for path in doors if is_source(path)}


def is_source(path: Path) -> bool:
    """Whether this belongs into the wheel: the linter's settings and what Python left behind do not."""
    left_behind = any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(ROOT).parts)
    return path.is_file() and path.name != "ruff.toml" and not left_behind


def check_installed(wheel: Path, scratch: Path) -> None:
    """Use the installed package as somebody else's program would: run, mypy, pyright."""
    run(sys.executable, "-m", "venv", scratch / "venv")
    python = scratch / "venv/bin/python"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "--quiet", "install", "--constraint", constraints, f"{wheel}[cli]")
    consumer = shutil.copy(CONSUMER, scratch)
    run(python, consumer, cwd=scratch)
    run(sys.executable, "-m", "mypy", "--strict", "--python-executable", python, consumer, cwd=scratch)
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    verify: list[str | Path] = ["--pythonpath", python, "--verifytypes", "rolebook", "--ignoreexternal"]
    run(sys.executable, "-m", "pyright", *verify, cwd=scratch, environment=environment)


def run(
    *command: str | Path, cwd: Path = ROOT, environment: dict[str, str] | None = None, quiet: bool = False
) -> None:
    """Run a program; its failure is ours."""
    print(
        "$",
        " ".join(os.path.relpath(part) if isinstance(part, Path) else part for part in command),
        flush=True,
    )
    done = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=quiet, text=True)
    if quiet and done.returncode != 0:
        print(done.stdout, done.stderr)
    demand(done.returncode == 0, f"that ended with exit code {done.returncode}")


def demand(condition: bool, complaint: str) -> None:  # noqa: FBT001 -- reads like assert
    """End with a message unless the condition holds."""
    if not condition:
        sys.exit(f"package: {complaint}")


if __name__ == "__main__":
    main()
