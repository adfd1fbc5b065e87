"""Effects: what a decider yields besides events. Plain values; nothing happens before the commit."""

from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias, TypeVar, final

import attrs

from ._errors import DefinitionError, EffectError
from ._keys import check_key, check_name

R = TypeVar("R")

Effects: TypeAlias = Generator[object, None, R]
"""What a decider returns: a generator of events and effects that ends with the reply."""

LOW, NORMAL, HIGH = -1, 0, 1

LONGEST = 100 * 366 * 86_400
"""The longest delay, in seconds: what every store can still add to today."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@final
@attrs.frozen
class Tell:
    """Send a command to one actor, with this turn's commit.

    Args:
        actor: The actor's class, or its name.
        key: Which one.
        command: What it is told.
        delay: Not before so many seconds (or a timedelta) after the commit.
        at: Not before this moment; a datetime with a zone.
        headers: Travels with the message; text to text.
        priority: -1 (low), 0, or 1 (high).

    Raises:
        InvalidKey: The key cannot be stored.
        EffectError: A bad delay, moment, priority or header.
    """

    actor: type | str
    key: str
    command: object
    delay: float | timedelta | None = attrs.field(default=None, kw_only=True)
    at: datetime | None = attrs.field(default=None, kw_only=True)
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, kw_only=True)
    priority: int = attrs.field(default=NORMAL, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if (key := check_key(self.key)) is not self.key:
            object.__setattr__(self, "key", key)
        _check_send(self)

    @property
    def queue(self) -> str:
        """The name of the actor's queue."""
        return actor_name(self.actor)

    @property
    def delay_seconds(self) -> float | None:
        """The delay in seconds, or None."""
        return _seconds(self.delay)


@final
@attrs.frozen
class Enqueue:
    """Send a command to a queue, with this turn's commit.

    Args:
        queue: The name of the queue.
        command: What its handler gets.
        key: Messages of one key are handled one at a time, in order; None for no order at all.
        delay: Not before so many seconds (or a timedelta) after the commit.
        at: Not before this moment; a datetime with a zone.
        headers: Travels with the message; text to text.
        priority: -1 (low), 0, or 1 (high).

    Raises:
        DefinitionError: The queue's name is none.
        InvalidKey: The key cannot be stored.
        EffectError: A bad delay, moment, priority or header.
    """

    queue: str
    command: object
    key: str | None = attrs.field(default=None, kw_only=True)
    delay: float | timedelta | None = attrs.field(default=None, kw_only=True)
    at: datetime | None = attrs.field(default=None, kw_only=True)
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, kw_only=True)
    priority: int = attrs.field(default=NORMAL, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if (queue := check_name(self.queue, "queue")) is not self.queue:
            object.__setattr__(self, "queue", queue)
        if self.key is not None and (key := check_key(self.key)) is not self.key:
            object.__setattr__(self, "key", key)
        _check_send(self)

    @property
    def delay_seconds(self) -> float | None:
        """The delay in seconds, or None."""
        return _seconds(self.delay)


@final
@attrs.frozen
class Stop:
    """Passivate this actor when the turn is done: forget it in memory. The next message wakes it again."""


def actor_name(actor: type | str) -> str:
    """Return the stored name of an actor given by class or by name.

    Raises:
        DefinitionError: The class is no actor, or the name is none.
    """
    if isinstance(actor, str):
        return check_name(actor, "actor")
    if not isinstance(actor, type):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DefinitionError(f"{actor!r:.80} is no actor; give the actor's class, or its name")
    name: str | None = getattr(actor.__dict__.get("__rolebook_actor__"), "name", None)
    if name is None:
        raise DefinitionError(f"{actor.__qualname__} is no actor; write @actor(...) above its class")
    return name


def _check_send(effect: Tell | Enqueue) -> None:
    # Nearly every send is a plain one: one comparison lets it through.
    if effect.delay is not None or effect.at is not None:
        _check_due(effect)
    if effect.priority is not NORMAL:
        _check_priority(effect.priority)
    if effect.headers is not _NO_HEADERS:
        object.__setattr__(effect, "headers", checked_headers(effect.headers))


def _check_priority(priority: object) -> None:
    # True and 1.0 are equal to 1, and no number for a database.
    if type(priority) is not int or priority not in (LOW, NORMAL, HIGH):
        raise EffectError(f"priority is -1, 0 or 1, not {priority!r}")


def _check_due(effect: Tell | Enqueue) -> None:
    if effect.delay is not None and effect.at is not None:
        raise EffectError("give delay= or at=, not both")
    at, delay = effect.at, effect.delay
    if at is not None and (not isinstance(at, datetime) or at.utcoffset() is None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise EffectError(f"at={at!r} is no datetime with a zone; say which, such as datetime.now(UTC)")
    if delay is None:
        return
    is_delay = isinstance(delay, timedelta | int | float) and not isinstance(delay, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not is_delay or not 0 <= (_seconds(delay) or 0) <= LONGEST:
        raise EffectError(
            f"delay={delay!r} is no delay; give seconds from 0 to {LONGEST:,} (a century), or a timedelta"
        )


def checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers as a dict of exact texts.

    Raises:
        EffectError: They are not text to text, or no Unicode.
    """
    found = dict[str, str]()
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise EffectError(f"headers are text to text, not {name!r}: {value!r}")
        found[str.__str__(name)] = str.__str__(value)
        try:
            (name + value).encode()
        except UnicodeEncodeError:
            raise EffectError(f"header {name!r}: {value!r:.60} has a lone surrogate: no Unicode") from None
    return found


def _seconds(delay: float | timedelta | None) -> float | None:
    if delay is None:
        return None
    return delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
