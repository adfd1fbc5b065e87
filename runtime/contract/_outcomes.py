"""The outcome of an ask as the database keeps it: a JSON object with one member that says which it is."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, final

import msgspec

from rolebook.actors import Codec, DecodeError, Encoded, Rejected, RolebookError, Unencodable

from ._error_texts import storable, text_of

_log = logging.getLogger("rolebook.handler")


@final
class AskFailed(RolebookError):
    """The turn of an ask raised; the text is what it raised, which is the cause if it was in this process."""


@final
class ActorUnavailable(RolebookError):
    """The actor cannot handle anything now: it is broken, its journal cannot be replayed."""


def told(codec: Codec, error: BaseException) -> Exception:
    """Return what who asks is told of the error of a turn: the same here as from another process.

    A refusal of a registered class and `ActorUnavailable` are told as they are, any other refusal as a
    `Rejected` with its text, everything else as `AskFailed`.
    """
    if type(error) is Rejected or isinstance(error, ActorUnavailable):
        return error
    if isinstance(error, Rejected):
        if _written(codec, error) is not None:
            return error
        found: Exception = Rejected(error.reason)
    else:
        found = AskFailed(text_of(error))
    found.__cause__ = error
    return found


def reply_outcome(payload: str) -> str:
    """Return the outcome of a turn that replied; the payload is JSON already."""
    return f'{{"reply":{payload}}}'


def error_outcome(codec: Codec, error: BaseException) -> str:
    """Return the outcome of a turn that refused, or raised something else."""
    if isinstance(error, ActorUnavailable):
        return _object(unavailable=str(error))
    if not isinstance(error, Rejected):
        return _object(failed=text_of(error))
    if (written := _written(codec, error)) is None:
        return _object(rejected=error.reason)
    return _object(rejected=error.reason, name=written.name, version=written.version, data=written.payload)


def read_outcome(codec: Codec, command: type, outcome: str) -> Any:
    """Return the stored reply, or raise the stored error.

    Raises:
        Rejected: The actor refused.
        ActorUnavailable: Its journal cannot be replayed.
        AskFailed: Its turn raised.
    """
    found = msgspec.json.decode(outcome, type=dict[str, msgspec.Raw])
    if "reply" in found:
        return codec.decode_reply(command, bytes(found["reply"]).decode())
    texts: dict[str, Any] = msgspec.json.decode(outcome)
    if "rejected" in texts:
        raise _rejection(codec, texts)
    if "unavailable" in texts:
        raise ActorUnavailable(texts["unavailable"])
    raise AskFailed(texts["failed"])


def _rejection(codec: Codec, texts: dict[str, Any]) -> Rejected:
    if "name" in texts:
        with suppress(DecodeError):
            return codec.decode_rejection(texts["name"], texts["version"], texts["data"])
    return Rejected(texts["rejected"])


def _written(codec: Codec, error: Rejected) -> Encoded | None:
    try:
        return codec.encode_rejection(error)
    except Unencodable as problem:
        _log.warning("a refusal travels as its text: %s", problem)
        return None


def _object(**members: str | int) -> str:
    texts = {name: storable(each) if isinstance(each, str) else each for name, each in members.items()}
    return msgspec.json.encode(texts).decode()
