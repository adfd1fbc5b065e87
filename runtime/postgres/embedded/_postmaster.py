"""The running server of a data folder: recognise it, wait for it, end it. Standard library only.

A pid file proves nothing: after a crash or a reboot its number may belong to somebody else's process. So a
process is taken for the server only if its number, its program's name and its working directory all match,
and nothing is ever signalled that was not recognised in this way.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from ._locks import wait_until

_PROGRAM = "postgres"

_HAS_PROC = Path("/proc/self/cwd").exists()
"""Linux tells all about a process in files; elsewhere two programs are asked."""


def postmaster_pid(data: Path) -> int | None:
    """The process id of the server that runs on `data`, or None if none does."""
    lines = _pid_file(data)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    return pid if _works_in(pid, data) else None


def postmaster_status(data: Path) -> str:
    """What the server says of itself in its pid file: starting, ready, standby, stopping, or nothing yet."""
    lines = _pid_file(data)
    return lines[7].strip() if len(lines) > 7 else ""  # noqa: PLR2004 -- the eighth line, see miscadmin.h


def socket_folder(data: Path) -> Path | None:
    """The folder of the running server's socket, as the server says it."""
    lines = _pid_file(data)
    return Path(lines[4].strip()) if len(lines) > 4 and lines[4].strip() else None  # noqa: PLR2004


def remove_stale_pid_file(data: Path, check: Callable[[], object], seconds: float = 10) -> None:
    """Remove the pid file of a server that is gone; must not be called while one is running.

    The server itself removes a stale file unless its number is in use again. It also looks there for the
    shared memory of orphaned backends, so the file is removed only when no server process is left.

    Raises:
        TimeoutError: backends of a dead server are still at work after `seconds`.
    """
    if not (data / "postmaster.pid").exists():
        return
    if not wait_until(lambda: not _processes_in(data), seconds, check):
        raise TimeoutError(f"server processes {_processes_in(data)} of a dead server still run in {data}")
    (data / "postmaster.pid").unlink(missing_ok=True)


def stop_postmaster(data: Path, seconds: float = 60, check: Callable[[], object] = lambda: None) -> bool:
    """Shut the server down cleanly (a fast shutdown): sessions end, transactions roll back.

    Returns:
        Whether it is gone; False after `seconds`.
    """
    return _signal_and_wait(data, signal.SIGINT, seconds, check)


def kill_postmaster(data: Path, seconds: float = 60) -> bool:
    """End the server as a crash would, and wait until its last process is gone."""
    return _signal_and_wait(data, signal.SIGKILL, seconds, lambda: None)


def _signal_and_wait(data: Path, number: signal.Signals, seconds: float, check: Callable[[], object]) -> bool:
    """Signal the server, as `pg_ctl stop` would, but only after it was recognised."""
    pid = postmaster_pid(data)
    if pid is not None:
        os.kill(pid, number)
    return wait_until(lambda: postmaster_pid(data) is None and not _processes_in(data), seconds, check)


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _processes_in(data: Path) -> list[int]:
    """All server processes that work in `data`, orphaned backends included."""
    if not _HAS_PROC:
        pid = postmaster_pid(data)
        return [] if pid is None else [pid]
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if _works_in(pid, data)]


def _works_in(pid: int, data: Path) -> bool:
    """Whether this process is a server process whose working directory is `data`."""
    try:
        return _program_name(pid) == _PROGRAM and data.samefile(_working_directory(pid))
    except OSError:  # gone, or somebody else's
        return False


def _program_name(pid: int) -> str:
    if _HAS_PROC:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    return Path(_ask("ps", "-o", "comm=", "-p", str(pid)).strip()).name


def _working_directory(pid: int) -> str:
    if _HAS_PROC:
        return f"/proc/{pid}/cwd"
    fields = _ask("lsof", "-a", "-p", str(pid), "-d", "cwd", "-Fn").splitlines()
    return next((field[1:] for field in fields if field.startswith("n")), "")


def _ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- two fixed programs
    return done.stdout
