"""The name of a process, as the database and its messages know it."""

from __future__ import annotations

import os
import re
import socket
import uuid

from rolebook.actors import InvalidSetting

_NAME = re.compile(r"[!#-\[\]-~]{1,128}")


def process_name(app: str) -> str:
    """Return a name that no other process has: the app's, the machine's and some dice."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:20]
    return f"{app}@{host}:{os.getpid()}:{uuid.uuid4().hex[:4]}"


def own_name(app: str, given: str | None) -> str:
    """Return the name of this process: the given one, checked, or one of its own.

    Raises:
        InvalidSetting: The given one cannot stand in every message.
    """
    return process_name(app) if given is None else check_process_name(given)


def check_process_name(name: str) -> str:
    """Return a process's name if it can stand in every message that the process sends, as it is.

    Raises:
        InvalidSetting: It is empty, too long, or has a space, a quote, a backslash or a letter beyond ASCII.
    """
    if not _NAME.fullmatch(name):
        problem = f"{name!r} is no name for a process"
        raise InvalidSetting(
            "process", problem, "give 1 to 128 characters of ASCII without space, quote and \\"
        )
    return str.__str__(name)
