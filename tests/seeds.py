"""One seed for everything that is drawn in a run of the tests: programs, schedules and dice.

`ROLEBOOK_SEED` gives it. Without it, CI takes it from the commit, so that every change plays new programs and
each failure can be repeated; a run at home takes any.
"""

import os
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "ROLEBOOK_SEED"


def choose(environment: Mapping[str, str]) -> tuple[int, str]:
    """Return the seed, and in words where it comes from."""
    if given := environment.get(VARIABLE):
        return int(given), f"{VARIABLE} is set"
    if "CI" in environment and (commit := _commit()) is not None:
        return int(commit[:8], 16), f"of commit {commit[:8]}"
    return random.randrange(2**32), "drawn"


def seed() -> int:
    """Return the seed of this run: who asks first, chooses it for all processes of the run."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = str(choose(os.environ)[0])
    return int(os.environ[VARIABLE])


def repeat(test: str) -> str:
    """Return the command that plays one test again with the seed of this run."""
    return f"{VARIABLE}={seed()} make test ARGS='{test}'"


def _commit() -> str | None:
    """Return the commit that is tested; None outside of a clone."""
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else None
