"""Play every property, simulation and schedule with one seed after the other, for some minutes.

A failure ends it, with the command that repeats it.
"""

import os
import random
import subprocess
import sys
import time

PROGRAMS = {"ROLEBOOK_SIMULATIONS": "200", "ROLEBOOK_SCHEDULES": "3000"}
"""More than one run of the tests plays, so that less of the time goes into starting."""


def main(minutes: float, workers: str) -> int:
    """Play until the time is up; a round that has begun is played to its end. Returns the exit code."""
    began, rounds = time.monotonic(), 0
    while (spent := time.monotonic() - began) < minutes * 60:
        rounds += 1
        seed = random.randrange(2**32)  # noqa: S311 - for tests
        print(f"round {rounds}, seed {seed}: {_clock(spent)} of {_clock(minutes * 60)}", flush=True)
        if not play(seed, workers):
            print(f"it failed. Repeat it: ROLEBOOK_SEED={seed} make test ARGS='-m seeded'", flush=True)
            return 1
    print(f"{rounds} seeds in {_clock(time.monotonic() - began)}, and nothing failed")
    return 0


def play(seed: int, workers: str) -> bool:
    """Play one seed; show the report if something fails."""
    command = [sys.executable, "-m", "pytest", "-m", "seeded", "-x", "-q", "-n", workers, "--no-header"]
    environment = {**PROGRAMS, **os.environ, "ROLEBOOK_SEED": str(seed)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, flush=True)
    return done.returncode == 0


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2]))
