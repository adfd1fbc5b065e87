"""Fingerprints: has the shape of a stored class changed without a new version?

A store keeps the fingerprint of each (kind, name, version) that it has ever held. A deployment whose
fingerprint differs under the same version has changed a class in place: its old rows may now be unreadable,
or be read as something else.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import final

import attrs

from .._errors import Kind
from ._changes import field_changes
from ._choices import may_follow


@final
@attrs.frozen
class Fingerprint:
    """The shape of one stored class.

    Attributes:
        kind: "event", "command" or "state".
        name: The stored name.
        version: The version whose shape it is.
        shape: The shape as text: its fields and their types. Names of Python classes are not part of it.
    """

    kind: Kind
    name: str
    version: int
    shape: str

    @property
    def digest(self) -> str:
        """The shape in 16 hexadecimal digits."""
        return digest_of(self.shape)


def digest_of(shape: str) -> str:
    """Return a shape's text in 16 hexadecimal digits."""
    return sha256(shape.encode()).hexdigest()[:16]


@final
@attrs.frozen
class Drift:
    """A class whose shape changed under the same name and version.

    Attributes:
        stored: Its shape as the store knows it.
        current: Its shape in this program.
    """

    stored: Fingerprint
    current: Fingerprint

    @property
    def changes(self) -> list[str]:
        """What changed, in words: each field, and each member of an enum."""
        return list(field_changes(self.stored.shape, self.current.shape))

    def __str__(self) -> str:
        now = self.current
        return (
            f"{now.kind} {now.name!r} version {now.version} changed without a new version: "
            f"stored {self.stored.shape}, now {now.shape}; "
            f"{''.join(f'{each}; ' for each in self.changes)}raise its version and write an upcaster"
        )


def find_drift(stored: Iterable[Fingerprint], current: Iterable[Fingerprint]) -> list[Drift]:
    """Return every class that changed under the same name and version.

    A new member of an enum, a flag or a literal is no change: what is stored reads as before.

    Args:
        stored: What the store knows.
        current: What this program has: `codec.fingerprints()`.
    """
    known = {(each.kind, each.name, each.version): each for each in stored}
    pairs = ((known.get((each.kind, each.name, each.version)), each) for each in current)
    return [Drift(old, new) for old, new in pairs if old is not None and not may_follow(old.shape, new.shape)]
