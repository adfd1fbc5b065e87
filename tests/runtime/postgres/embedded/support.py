"""What the tests of the embedded server share: real processes, and a look at what they left."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import attrs

from rolebook.runtime.postgres.embedded import PostgresServer, find_binaries
from rolebook.runtime.postgres.embedded._locks import wait_until

ROOT = Path(__file__).parents[4]

# The states of a cluster, in the order in which the server numbers them, and as pg_controldata words them.
_STATES = (
    "starting up",
    "shut down",
    "shut down in recovery",
    "shutting down",
    "in crash recovery",
    "in archive recovery",
    "in production",
)


@final
@attrs.frozen
class User:
    """A process of its own that uses the server of a folder."""

    process: subprocess.Popen[str]

    def go(self) -> None:
        """Let it do its next step."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """Its next line; empty if it ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def open(self) -> int:
        """Let it open the server; returns the server's process id."""
        self.go()
        return int(self.hear())

    def close(self) -> None:
        """Let it give the server back, and wait until it has ended."""
        self.go()
        assert self.process.wait(timeout=60) == 0

    def kill(self) -> None:
        """Kill it and every process of its group, as a terminal or a container does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)


@contextmanager
def user_of(folder: Path) -> Generator[User]:
    """A process that is about to use the server of `folder`."""
    command = [sys.executable, "-m", "tests.runtime.postgres.embedded.user", os.fspath(folder)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            user = User(process)
            assert user.hear() == "up"
            yield user
        finally:
            process.kill()


def server_in(folder: Path, **settings: str) -> PostgresServer:
    """A server object for a folder; not started."""
    return PostgresServer(folder, find_binaries(os.environ.get("ROLEBOOK_TEST_PG_BIN")), settings)


def copied_programs(folder: Path) -> Path:
    """A copy of the server's programs below a folder, with what they need; returns where they are."""
    install = find_binaries(os.environ.get("ROLEBOOK_TEST_PG_BIN")).folder.parent
    package = folder / install.parent.name
    for part in ("bin", "lib", "share"):
        if (install / part).exists():
            shutil.copytree(install / part, package / install.name / part, symlinks=True)
    libraries = install.parent.with_name(f"{install.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return package / install.name / "bin"


def held_programs(folder: Path) -> Path:
    """Programs whose server says that it is `waiting`, in the folder it is started in, until it may `go`."""
    real, held = copied_programs(folder / "real"), copied_programs(folder / "held")
    (held / "postgres").write_text(
        "#!/bin/sh\n"
        'case "$1" in --version|-V) ;; *) : > waiting; until [ -e go ]; do sleep 0.02; done ;; esac\n'
        f'exec {shlex.quote(os.fspath(real))}/postgres "$@"\n'
    )
    return held


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition holds; fails after a while."""
    assert wait_until(condition, seconds, lambda: None), "the condition did not come true"


def cluster_state(server: PostgresServer) -> str:
    """What the data folder says of its last shutdown.

    Read from the control file itself: not every package of the server has `pg_controldata`.
    """
    control = (server.data / "global" / "pg_control").read_bytes()
    return _STATES[int.from_bytes(control[16:20], sys.byteorder)]


def reapers_of(folder: Path) -> list[int]:
    """The process ids of the reapers on duty for a folder."""
    done = subprocess.run(["ps", "-wweo", "pid=,args="], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if os.fspath(folder) in line and "reaper.lock" in line]
    return [int(line.split()[0]) for line in lines]


def alive(pid: int) -> bool:
    """Whether a process of this id still runs; one that only waits to be reaped does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in ("", "Z")
