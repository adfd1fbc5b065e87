"""What may be a name and what may be a key.

Names become queue names, channel names and SQL parameters: they are an allow-list.
Keys are data: any text that PostgreSQL can hold, within a bound that an index entry can take.
"""

import re
from functools import lru_cache
from typing import Final

from ._errors import DefinitionError, InvalidKey

MAX_NAME_BYTES: Final = 63
MAX_KEY_BYTES: Final = 512
MAX_VERSION: Final = 32_767
"""What a stored version has room for: two bytes in every message and event."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]+")


def check_name(name: str, what: str) -> str:
    """Return `name` as an exact `str` if it can be stored, else raise.

    Args:
        name: A name given to an actor, a queue, an event, a command or an app.
        what: What it names, for the error: "actor", "event".

    Raises:
        DefinitionError: It is empty, over 63 bytes, or has a character outside `A-Z a-z 0-9 _ . : -`.
    """
    if not isinstance(name, str) or not _is_name(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DefinitionError(
            f"{name!r} is no name for {_article(what)}: use letters, digits and the characters _ . : - only"
        )
    if len(name) > MAX_NAME_BYTES:
        raise DefinitionError(
            f"{name!r} is too long for {_article(what)}: {len(name)} bytes, at most {MAX_NAME_BYTES}"
        )
    return name if type(name) is str else str.__str__(name)


@lru_cache(maxsize=1024)  # every send checks a name, and an app has few
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def check_version(version: int, what: str) -> int:
    """Return `version` if it is an int from 1 to 32,767, else raise DefinitionError."""
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise DefinitionError(
            f"{what}: version {version!r} is no version; count up from 1, to {MAX_VERSION:,} at most"
        )
    return version


def check_key(key: str) -> str:
    """Return `key` as an exact `str` if it can be stored, else raise: of a text enum it is the value.

    Args:
        key: Any text of 1 to 512 bytes in UTF-8, without NUL.

    Raises:
        InvalidKey: Naming what is wrong with it.
    """
    # The short ASCII key is nearly every key: one look decides it.
    if type(key) is str and 0 < len(key) <= MAX_KEY_BYTES and key.isascii() and "\0" not in key:
        return key
    return _check_unusual_key(key)


def _check_unusual_key(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidKey(f"a key is a str, not {type(key).__name__}: {key!r:.60}")
    if not key:
        raise InvalidKey("a key is not empty")
    if "\0" in key:
        raise InvalidKey(f"a key has no NUL in it: {key!r:.60}")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidKey(f"a key is valid Unicode, this one has a lone surrogate: {key!r:.60}") from None
    if size > MAX_KEY_BYTES:
        raise InvalidKey(f"a key has at most {MAX_KEY_BYTES} bytes, this one {size}: {key!r:.60}")
    return str.__str__(key)


def _article(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"
