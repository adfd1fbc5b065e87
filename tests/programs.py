"""Real processes for tests: started, watched, signalled, and never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from attrs import frozen

ROOT = Path(__file__).parent.parent
LIMIT = 120.0
"""Seconds after which a process that does not end fails its test."""

Signal = signal.Signals


@frozen
class Ended:
    """What a process left."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything it printed."""
        return self.out + self.err


class Program:
    """A running `python -m …`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def press_ctrl_c(self) -> None:
        """Send SIGINT as a terminal does: to the process and to all it started in its group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, timeout: float = LIMIT) -> Ended:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: It did not end in that many seconds.
        """
        out, err = self.process.communicate(timeout=timeout)
        return Ended(self.process.returncode, out, err)

    def line(self, wanted: str) -> str:
        """Read its errors, which are its log, up to a line that has a text in it."""
        assert self.process.stderr is not None
        read: list[str] = []
        for line in self.process.stderr:
            read.append(line)
            if wanted in line:
                return line
        raise AssertionError(f"it ended and never said {wanted!r}, but: {''.join(read)}")


@contextmanager
def started(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Generator[Program]:
    """Start `python -m` with some arguments; kill what is left of it at the end."""
    environment = {**os.environ, "COLUMNS": "200", **(env or {})}
    for variable in ("DATABASE_URL", "ROLEBOOK_DATA"):
        if variable not in (env or {}):
            environment.pop(variable, None)
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    with process:
        try:
            yield Program(process)
        finally:
            process.kill()


def run(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Ended:
    """Run `python -m` with some arguments to its end."""
    with started(*arguments, env=env, cwd=cwd) as program:
        return program.wait()


def wait_until(url: str, condition: str, program: Program | None = None) -> None:
    """Ask the database until a condition holds, or the program has ended.

    Args:
        url: The database.
        condition: SQL; while what it speaks of does not exist, it does not hold.
        program: Whose end ends the wait.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set statement_timeout = '60s'")
        while program is None or program.process.poll() is None:
            try:
                row = connection.execute(f"select ({condition}), pg_sleep(0.005)".encode()).fetchone()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                continue
            if row is not None and row[0]:
                return
