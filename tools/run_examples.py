"""Run every example as a user would, each on a throw-away embedded database."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path("examples")


def main() -> int:
    """Run them all in alphabetical order; returns how many failed."""
    scratch = Path(tempfile.mkdtemp(prefix="understudy-examples-", dir="/tmp"))
    scratch.chmod(0o755)  # root's server runs as somebody else and has to pass through
    names = sorted(path.stem for path in EXAMPLES.glob("[a-z]*.py"))
    try:
        failed = [name for name in names if not run(name, scratch / name)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{len(names) - len(failed)} of {len(names)} examples passed")
    return len(failed)


def run(name: str, data: Path) -> bool:
    """Run one example to its end, and stop its server."""
    environment = os.environ | {"UNDERSTUDY_DATA": os.fspath(data)}
    environment.pop("DATABASE_URL", None)
    began = time.monotonic()
    print(f"--- examples/{name}.py", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"], env=environment, check=False, timeout=600
    )
    stop = "from understudy.runtime.postgres.embedded import stop_embedded; stop_embedded()"
    subprocess.run([sys.executable, "-c", stop], env=environment, check=True, timeout=120)
    print(f"--- exit code {done.returncode} after {time.monotonic() - began:.1f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
