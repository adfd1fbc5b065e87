"""File locks that the kernel releases when their holder dies.

Standard library only: the reaper runs on it.
"""

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

if sys.platform != "win32":  # there this module must load, and is not used
    import fcntl

PACE = 0.02
"""Seconds between two looks at something that cannot be waited for."""


class FileLock:
    """An open lock file; taken and released at will, released by the kernel when the process ends.

    The descriptor is not inherited by programs that are started, unless it is handed to them on purpose.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def share(self) -> None:
        """Take the lock together with others, waiting for an exclusive holder."""
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)

    def take(self) -> None:
        """Take the lock alone, waiting for everybody else."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def try_take(self) -> bool:
        """Take the lock alone if that is possible now."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        return True

    def release(self) -> None:
        """Let go of the lock; the file stays open."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the lock and the file; a second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def wait_until(condition: Callable[[], bool], seconds: float, check: Callable[[], object]) -> bool:
    """Look at `condition` every 20 ms until it holds (True) or `seconds` have passed (False).

    `check` is called before each look and may raise to end the wait.
    """
    deadline = time.monotonic() + seconds
    while True:
        check()
        if condition():
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(PACE)
