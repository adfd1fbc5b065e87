"""The small detached process that stops the server when its last user is gone. Standard library only.

It waits for the lease, which the kernel releases even if a user is killed. It lives in a session of its own,
so a Ctrl-C does not reach it, and does not load the rest of Rolebook, so it is small and quick to start.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from ._locks import FileLock
from ._postmaster import stop_postmaster

GRACE = 1.0
"""Seconds that a server without users waits for a newcomer."""

# A package of this folder's modules under another name: the real one would load all of Rolebook.
_BOOT = """
import sys, types
package = types.ModuleType("embedded")
package.__path__ = [sys.argv[1]]
sys.modules["embedded"] = package
from embedded._reaper import main
main(*sys.argv[2:])
"""


def start_reaper(*, lease: Path, start_lock: Path, reaper_lock: Path, data: Path, log: Path) -> None:
    """Start a reaper unless there is one already; returns when one is on duty.

    Raises:
        OSError: the interpreter cannot be started.
        subprocess.CalledProcessError: it ended at once; its log says why.
    """
    files = [lease, start_lock, reaper_lock, data]
    with log.open("ab") as output:
        subprocess.run(  # noqa: S603 -- our own interpreter
            [sys.executable, "-I", "-S", "-c", _BOOT, Path(__file__).parent, *files],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
            start_new_session=True,
        )


def main(lease: str, start_lock: str, reaper_lock: str, data: str) -> None:
    """Go on duty and let the starter go on; the duty itself is a child, so nobody has to wait for it."""
    duty = FileLock(Path(reaper_lock))
    if duty.try_take() and os.fork() == 0:
        reap(FileLock(Path(lease)), FileLock(Path(start_lock)), duty, Path(data))


def reap(lease: FileLock, start_lock: FileLock, duty: FileLock, data: Path) -> None:
    """Wait until the lease has been free for a grace second, then stop the server.

    The last look and the stop happen under the start lock, so nobody can come in between. The duty ends under
    that lock too: whoever starts the server next finds either this reaper or none.
    """
    while True:
        lease.take()
        lease.release()
        time.sleep(GRACE)
        start_lock.take()
        if lease.try_take():
            break
        start_lock.release()
    if not stop_postmaster(data):
        sys.stderr.write(f"{time.ctime()}: the server in {data} did not stop\n")
    duty.release()
