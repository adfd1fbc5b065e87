"""The numbers of a runtime: every one has a default, a unit and a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, final

import attrs
from attrs import frozen

from rolebook.actors import Backoff, InvalidSetting

MIB = 1024 * 1024
MOST_PARTITIONS = 1024
PARTITIONS = 32
"""Of each queue of a new database, unless told otherwise."""


def _positive_seconds(_: object, field: attrs.Attribute[float], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InvalidSetting(field.name, f"{value!r} is out of bounds", "give seconds above 0")


def _positive_count(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or value < 1:
        raise InvalidSetting(field.name, f"{value!r} is out of bounds", "give a whole number of 1 or more")


def _byte_count(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    if type(value) is not int or value < MIB:
        raise InvalidSetting(field.name, f"{value!r} is out of bounds", f"give {MIB} bytes (1 MiB) or more")


def _partition_count(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (type(value) is not int or not 1 <= value <= MOST_PARTITIONS):
        raise InvalidSetting(field.name, f"{value!r} is out of bounds", f"give 1 to {MOST_PARTITIONS}")


def _strictness(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value not in {"error", "warn"}:
        raise InvalidSetting(field.name, f"{value!r} is neither", 'give "error" or "warn"')


def _each_positive(_: object, field: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    for name, number in value.items():
        if type(number) is not int or number < 1:
            problem = f"{number!r} is out of bounds"
            raise InvalidSetting(f"{field.name}.{name}", problem, "give a whole number of 1 or more")


_PLAIN_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def check_schema_name(path: str, name: str) -> str:
    """Return a schema's name if it can be one everywhere it is needed: it also names the channel.

    PostgreSQL cuts a longer name silently, and two apps would meet in one schema.

    Raises:
        InvalidSetting: It is no plain identifier, or over 63 bytes.
    """
    if not _PLAIN_IDENTIFIER.fullmatch(name):
        problem = f"{name!r} is no name for a schema"
        raise InvalidSetting(path, problem, "give 1 to 63 letters, digits and _, not beginning with a digit")
    return name


def _schema_name(_: object, field: attrs.Attribute[str], value: str) -> None:
    check_schema_name(field.name, value)


@final
@frozen
class Settings:
    """How a runtime behaves.

    Attributes:
        schema: The schema that holds its tables; a plain identifier.
        partitions: How many partitions each queue has; None for what the database has, and 32 if it is new.
        poll_interval: Seconds after which the mailbox is looked at even if nobody rang.
        take_interval: Seconds between two tries for partitions that others own.
        health_interval: Seconds between two health checks of the listening session.
        health_deadline: Seconds a health check may take.
        command_deadline: Seconds any other statement may take before its session is given up.
        idle_session_timeout: Seconds after which the server ends the session of a frozen process.
        loop_hold: Seconds after which a step that holds the loop is told of, with its stack and message.
        mailbox_capacity: Messages of one queue held in memory at most; what blocked keys hold comes on top:
            the first of each, and as many again.
        mailbox_bytes: Bytes of messages of one queue held in memory at most; what blocked keys hold comes on
            top, up to as many again. One read brings a quarter of it at most, of all queues together. A
            message larger than that is handled too: alone.
        blocked_capacity: Messages of one blocked or parked key held in memory at most.
        batch: Turns, and messages sent from outside, in one commit at most.
        batch_bytes: Bytes of events, messages and what else is stored in one commit at most, and of those
            that wait for it; a larger turn is committed alone.
        replay_bytes: Bytes of events and snapshots that the replay of one kind of actor holds at most, and
            that one read of a journal brings; a larger event comes alone.
        residents: Actors of one kind kept in memory at most.
        passivate_after: Seconds after which an unused actor leaves memory; an actor may say fewer.
        shutdown: Seconds that the whole end may take: turns that have begun, the app's children, the last
            commit, the closing of connections. What is not done by then is cancelled.
        pool_size: Connections for `turn.connection()` and `runtime.connection()`; replays and reads have two
            of their own.
        acquire_timeout: Seconds to wait for one of them.
        backoff: Between two attempts to open the session anew.
        idempotency_retention: Seconds for which the first outcome of an idempotency key is kept.
        drift: "error" or "warn": what becomes of a start with a class of stored events that was changed
            without a new version.
        check_purity: Whether each turn is computed a second time, from the events alone, and compared: for
            tests, and to find out which actor is not pure. It costs a copy of the state for each turn.
        concurrency: By queue, how many messages its handler works on at once, in place of what the app says.

    Raises:
        InvalidSetting: A number is out of its bounds, or the schema's name is no plain identifier.
    """

    schema: str = attrs.field(default="rolebook", validator=_schema_name)
    partitions: int | None = attrs.field(default=None, validator=_partition_count)
    poll_interval: float = attrs.field(default=5.0, validator=_positive_seconds)
    take_interval: float = attrs.field(default=1.0, validator=_positive_seconds)
    health_interval: float = attrs.field(default=10.0, validator=_positive_seconds)
    health_deadline: float = attrs.field(default=5.0, validator=_positive_seconds)
    command_deadline: float = attrs.field(default=30.0, validator=_positive_seconds)
    idle_session_timeout: float = attrs.field(default=30.0, validator=_positive_seconds)
    loop_hold: float = attrs.field(default=1.0, validator=_positive_seconds)
    mailbox_capacity: int = attrs.field(default=2000, validator=_positive_count)
    mailbox_bytes: int = attrs.field(default=64 * MIB, validator=_byte_count)
    blocked_capacity: int = attrs.field(default=50, validator=_positive_count)
    batch: int = attrs.field(default=1000, validator=_positive_count)
    batch_bytes: int = attrs.field(default=16 * MIB, validator=_byte_count)
    replay_bytes: int = attrs.field(default=16 * MIB, validator=_byte_count)
    residents: int = attrs.field(default=10_000, validator=_positive_count)
    passivate_after: float = attrs.field(default=300.0, validator=_positive_seconds)
    shutdown: float = attrs.field(default=10.0, validator=_positive_seconds)
    pool_size: int = attrs.field(default=4, validator=_positive_count)
    acquire_timeout: float = attrs.field(default=5.0, validator=_positive_seconds)
    backoff: Backoff = attrs.field(factory=lambda: Backoff(cap=5.0))
    idempotency_retention: float = attrs.field(default=86_400.0, validator=_positive_seconds)
    drift: Literal["error", "warn"] = attrs.field(default="error", validator=_strictness)
    check_purity: bool = False
    concurrency: Mapping[str, int] = attrs.field(factory=dict[str, int], validator=_each_positive)
