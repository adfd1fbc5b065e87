"""The outcome of an ask as the database keeps it: a JSON object with one member that says which it is."""

from __future__ import annotations

from typing import Any, final

import msgspec

from rolebook.actors import Codec, Rejected, RolebookError

from ._error_texts import storable, text_of


@final
class AskFailed(RolebookError):
    """The turn of an ask raised in another process; the text is what it raised there."""


def reply_outcome(payload: str) -> str:
    """Return the outcome of a turn that replied; the payload is JSON already."""
    return f'{{"reply":{payload}}}'


def refusal_outcome(error: Rejected) -> str:
    """Return the outcome of a turn that refused."""
    return _object("rejected", error.reason)


def failure_outcome(error: BaseException) -> str:
    """Return the outcome of a turn that raised something else."""
    return _object("failed", text_of(error))


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


def _object(name: str, text: str) -> str:
    return msgspec.json.encode({name: storable(text)}).decode()
