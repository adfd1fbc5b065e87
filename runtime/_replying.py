"""Replies that travel through the database: how they are stored and read again."""

from __future__ import annotations

from typing import Any, final

import msgspec

from rolebook.actors import Codec, Rejected, RolebookError

from ._failing import text_of
from ._rows import Rare

RETENTION = 3600.0
"""Seconds a reply is kept for an asker that does not come back for it."""


@final
class AskFailed(RolebookError):
    """The turn of an ask raised in another process; the text is what it raised there."""


def reply_part(ask: str, asker: str, payload: str) -> Rare:
    """Return the part that stores a reply."""
    return _part(ask, asker, f'{{"reply":{payload}}}')


def error_part(ask: str, asker: str, error: BaseException) -> Rare:
    """Return the part that stores a refusal or a failure."""
    if isinstance(error, Rejected):
        return _part(ask, asker, _object("rejected", error.reason))
    return _part(ask, asker, _object("failed", text_of(error)))


def first_reply_part(once: str, payload: str, retention: float) -> Rare:
    """Return the part that stores the first outcome of an idempotency key, and refuses a second one."""
    return Rare("once", {"id": once, "outcome": f'{{"reply":{payload}}}', "retention": retention})


def first_error_part(once: str, error: BaseException, retention: float) -> Rare:
    """Return the part that stores a refusal as the first outcome.

    A failure is no outcome: nothing is stored, but a turn that has an outcome already does not fail.
    """
    outcome = _object("rejected", error.reason) if isinstance(error, Rejected) else None
    return Rare("once", {"id": once, "outcome": outcome, "retention": retention})


def copy_part(ask: str, asker: str, once: str) -> Rare:
    """Return the part that answers a repeated ask with the first outcome."""
    return Rare("copies", {"id": ask, "asker": asker, "of": once, "retention": RETENTION})


def read_outcome(codec: Codec, command: type, outcome: str) -> Any:
    """Return the stored reply, or raise the stored error.

    Raises:
        Rejected: The actor refused.
        AskFailed: Its turn raised.
    """
    found = msgspec.json.decode(outcome, type=dict[str, msgspec.Raw])
    if "reply" in found:
        return codec.decode_reply(command, bytes(found["reply"]).decode())
    if "rejected" in found:
        raise Rejected(msgspec.json.decode(found["rejected"], type=str))
    raise AskFailed(msgspec.json.decode(found["failed"], type=str))


def _part(ask: str, asker: str, outcome: str) -> Rare:
    return Rare("outcomes", {"id": ask, "asker": asker, "outcome": outcome, "retention": RETENTION})


def _object(name: str, text: str) -> str:
    safe = text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
    return msgspec.json.encode({name: safe}).decode()
