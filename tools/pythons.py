"""Run the tests on every Python that is supported and on this machine, each in an environment of its own."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")

SUITS = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"


def main(arguments: str) -> int:
    """Run them one after the other; returns how many failed."""
    found = {version: path for version in SUPPORTED if (path := find(version)) is not None}
    for version in SUPPORTED:
        print(f"Python {version}: {found.get(version, 'not on this machine')}", flush=True)
    rows = [(version, *run(version, path, arguments)) for version, path in found.items()]
    print()
    for version, passed, words, seconds in rows:
        print(f"Python {version:5} {'passed' if passed else 'FAILED':7} {seconds:6.0f} s   {words}")
    return sum(not passed for _, passed, *_ in rows)


def find(version: str) -> str | None:
    """Return a Python of this version that can make environments; None if there is none."""
    for candidate in _candidates(version):
        asked = subprocess.run([candidate, "-c", SUITS], capture_output=True, text=True, check=False)
        if asked.stdout.strip() == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[str]:
    if (path := shutil.which(f"python{version}")) is not None:
        yield path
    for root in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"):
        if root is not None:
            yield from map(str, sorted(Path(root).glob(f"versions/{version}.*/bin/python{version}")))


def run(version: str, python: str, arguments: str) -> tuple[bool, str, float]:
    """Set up an environment and run the tests in it; return whether they passed, a summary, the seconds."""
    print(f"\n--- Python {version}", flush=True)
    command = ["make", "--no-print-directory", "test", f"VENV=.venv-{version}", f"PYTHON={python}"]
    began, last = time.monotonic(), ""
    with subprocess.Popen([*command, f"ARGS={arguments}"], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            last = line.strip(" =\n") or last
    words = re.sub(r" in [\d.]+s.*", "", last)
    return running.returncode == 0, words, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
