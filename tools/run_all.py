"""Run every program of a folder as a user would, each on a throw-away embedded database."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LONGEST = 900
"""Seconds that one program may take."""


def main(folder: Path) -> int:
    """Run the modules and packages of a folder in alphabetical order; returns how many failed."""
    scratch = Path(tempfile.mkdtemp(prefix="rolebook-", dir="/tmp"))
    scratch.chmod(0o755)  # root's server runs as somebody else and has to pass through
    programs = [path.with_suffix("") for path in folder.glob("[a-z]*.py")]
    programs += [path.parent for path in folder.glob("*/__main__.py")]
    try:
        passed = [run(program, scratch / program.name) for program in sorted(programs)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{sum(passed)} of {len(passed)} programs in {folder} passed")
    return len(passed) - sum(passed)


def run(program: Path, data: Path) -> bool:
    """Run one program to its end, and stop its server."""
    environment = os.environ | {"ROLEBOOK_DATA": os.fspath(data)}
    environment.pop("DATABASE_URL", None)
    began = time.monotonic()
    print(f"--- {program}", flush=True)
    module = ".".join(program.parts)
    done = subprocess.run([sys.executable, "-m", module], env=environment, check=False, timeout=LONGEST)
    stop = "from rolebook.runtime.postgres.embedded import stop_embedded; stop_embedded()"
    subprocess.run([sys.executable, "-c", stop], env=environment, check=True, timeout=120)
    print(f"--- exit code {done.returncode} after {time.monotonic() - began:.1f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
