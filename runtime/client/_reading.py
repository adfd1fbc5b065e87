"""Reading from outside a turn: states, events and keys, as committed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import datetime
from typing import Any, final

from attrs import frozen

from rolebook.actors import App, DecodeError, DefinitionError, actor_name, check_key

from ..contract import Replay, Store, parse

PAGE = 1000
"""Events, or keys, read from the journal at a time."""


@final
@frozen
class Recorded:
    """An event of an actor's journal.

    Attributes:
        seq: Counts the actor's events from 1, without a gap.
        event: The event, decoded.
        metadata: What caused it: the ids of the message and of the first message of its trail.
        recorded_at: The time of its commit's transaction.
    """

    seq: int
    event: Any
    metadata: Mapping[str, str]
    recorded_at: datetime


async def read_states(
    app: App, store: Store, actor: type, keys: Iterable[str], most_bytes: int
) -> dict[str, Any]:
    """Return the states of some actors, in the order of the keys."""
    name = actor_name(actor)
    definition = app.actors.get(name)
    if definition is None:
        raise DefinitionError(
            f"app {app.name!r} has no actor {name!r}: add {actor.__qualname__} to its actors"
        )
    wanted = list(dict.fromkeys(check_key(key) for key in keys))
    found = await Replay(definition, app.codec, store, most_bytes).replay(wanted)
    states: dict[str, Any] = {}
    for key in wanted:
        replayed = found[key]
        if replayed.problem is not None:
            raise replayed.problem
        states[key] = replayed.state
    return states


async def read_keys(store: Store, actor: str) -> AsyncGenerator[str]:
    """Give the key of every actor of a kind, page by page."""
    after = ""
    while page := await store.keys(actor, after, PAGE):
        for key in page:
            yield key
        after = page[-1]


async def read_events(
    app: App, store: Store, actor: str, key: str, *, after: int, most_bytes: int
) -> AsyncGenerator[Recorded]:
    """Give an actor's events after some sequence number, page by page."""
    decode = app.codec.decode_event
    while True:
        page = await store.read_events(actor, check_key(key), after, PAGE, most_bytes)
        for row in page.events:
            try:
                event = decode(row.type, row.version, row.payload)
            except DecodeError as error:
                raise error.at(f"event {row.seq} of {actor}/{key}") from error.__cause__
            yield Recorded(row.seq, event, parse(row.metadata), row.recorded_at)
        if not page.more:
            return
        after = page.events[-1].seq
