"""Ctrl-C while a command runs: it raises `KeyboardInterrupt`, as in any Python program.

Before and after that, while Python imports the command or ends, nobody could catch that, and the system's
own way is in force: the process ends at once. See `understudy/_interrupt.py`.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def heeding_interrupts() -> Generator[None]:
    """Let Ctrl-C raise for the length of a block, if it would end the process."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield  # somebody else decides, or it is ignored
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
