"""Ctrl-C while the command `understudy` is still importing: it ends at once and without a word.

A script can catch nothing before its imports are done, and they take a while. So the system's own way of
ending a process is in force until `understudy.runtime.cli` takes over. Other programs are left alone.
"""

import signal
import sys
from pathlib import Path


def _is_command() -> bool:
    program = Path(sys.argv[0]).stem if sys.argv else ""
    if program == "-m":  # `python -m` gives its module's name only when that runs
        return "understudy.runtime.cli" in sys.orig_argv
    return program in {"understudy", "understudy-script"}


if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
