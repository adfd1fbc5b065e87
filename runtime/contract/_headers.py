"""What travels with a message besides its payload: the user's headers and the trail of causes.

The trail is two ids. `correlation` names the message that began it all and is
handed on unchanged; `causation` names the message whose turn sent this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, final

import msgspec
from attrs import frozen

CORRELATION = "correlation"
CAUSATION = "causation"
ASK = "ask"
ASKER = "asker"
ONCE = "idempotency"
RESERVED = frozenset({CORRELATION, CAUSATION, ASK, ASKER, ONCE})

_LONGEST = 250
_NOTHING: Mapping[str, str] = {}


@final
@frozen
class Trail:
    """The causes of one turn."""

    message_id: str
    correlation: str

    @property
    def headers(self) -> str:
        """The headers of a message that brings none of its own, as JSON."""
        return f'{{"correlation":"{self.correlation}","causation":"{self.message_id}"}}'

    @property
    def metadata(self) -> str:
        """The metadata of an event, as JSON."""
        return f'{{"message":"{self.message_id}","correlation":"{self.correlation}"}}'

    def around(self, headers: Mapping[str, str]) -> str:
        """Return some headers of the user's with the trail added, as JSON."""
        return around(headers, {CORRELATION: self.correlation, CAUSATION: self.message_id})


def around(headers: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Return some headers of the user's with the runtime's own added, as JSON."""
    own = {name: value for name, value in headers.items() if name not in RESERVED}
    return msgspec.json.encode({**own, **ours}).decode()


def parse(headers: str | None) -> Mapping[str, str]:
    """Read stored headers; what another sender stored there may be no object at all."""
    if headers is None:
        return _NOTHING
    try:
        found = msgspec.json.decode(headers, type=dict[str, Any])
    except msgspec.MsgspecError:
        return _NOTHING
    return {name: value if type(value) is str else str(value) for name, value in found.items()}


def asked(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the id of a remote ask and who asks, for a message that is one."""
    ask, asker = headers.get(ASK), headers.get(ASKER)
    if ask is None or asker is None or not _is_plain(ask) or not _is_plain(asker):
        return None
    return ask, asker


def _is_plain(name: str) -> bool:
    """Whether a name is one that a runtime gives: another sender may have put anything there."""
    return len(name) <= _LONGEST and name.isascii() and name.isprintable()


def once_id(actor: str, key: str, idempotency_key: str) -> str:
    """Return the name under which the first outcome of an idempotency key of one actor is stored."""
    named = msgspec.json.encode((actor, key, idempotency_key))
    return f"once/{sha256(named).hexdigest()}"


def trail(message_id: str, headers: Mapping[str, str]) -> Trail:
    """Return the trail of a message's turn."""
    # Another sender may have put anything there, and it is written into JSON as it stands.
    correlation = headers.get(CORRELATION, message_id)
    if (
        not correlation.isascii()
        or '"' in correlation
        or "\\" in correlation
        or not correlation.isprintable()
    ):
        correlation = message_id
    return Trail(message_id, correlation)
