"""The processes of one server: found from its postmaster, and signalled together."""

import os
import signal
import subprocess
from contextlib import suppress

from rolebook.runtime.postgres.embedded._locks import wait_until

LIMIT = 30.0
"""Seconds after which processes that were killed count as immortal."""


def family(postmaster: int) -> list[int]:
    """Return the postmaster and its children, as far as they live."""
    living = _living()
    return [pid for pid, parent in living.items() if postmaster in (pid, parent)]


def kill_family(postmaster: int) -> None:
    """End all of them as a loss of power would: at once, so that none does anything about the others' end.

    A backend that outlived its postmaster for a moment might still commit, and the process that writes the
    log might still write it. So all are stopped first, the postmaster before its children, for it makes more.
    """
    everybody = freeze_family(postmaster)
    for pid in everybody:
        _send(pid, signal.SIGKILL)
    if not wait_until(lambda: not _living().keys() & everybody, LIMIT, lambda: None):
        raise TimeoutError(f"some of {sorted(everybody)} are still there {LIMIT:g} s after SIGKILL")


def freeze_family(postmaster: int) -> set[int]:
    """Stop all of them, as a hypervisor does; return who they are."""
    _send(postmaster, signal.SIGSTOP)
    frozen = {postmaster}
    while new := set(family(postmaster)) - frozen:
        for pid in new:
            _send(pid, signal.SIGSTOP)
        frozen |= new
    return frozen


def wake_family(postmaster: int) -> None:
    """Let all of them go on, the postmaster last."""
    for pid in family(postmaster):
        if pid != postmaster:
            _send(pid, signal.SIGCONT)
    _send(postmaster, signal.SIGCONT)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _living() -> dict[int, int]:
    """Return the parent of every process that is not merely waiting to be buried."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}
