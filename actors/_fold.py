"""The fold: state = fold(events)."""

from collections.abc import Iterable
from typing import Any, TypeVar

from ._definition import ActorDefinition
from ._errors import DefinitionError

S = TypeVar("S")


def fold(definition: ActorDefinition, state: S, events: Iterable[object]) -> S:
    """Apply events to a state, in order, and return it.

    Args:
        definition: Whose events they are.
        state: Where to start: `definition.initial()`, or a snapshot. It is changed.
        events: The decoded events after it.

    Raises:
        DefinitionError: An event that this actor has no `@apply` for.
        Exception: Whatever an applier raised, with a note that names the event.
    """
    appliers = definition.appliers
    event: Any = None
    try:
        for event in events:
            appliers[type(event)](state, event)
    except Exception as error:
        if isinstance(error, KeyError) and type(event) not in appliers:
            raise DefinitionError(
                f"actor {definition.name!r} has no @apply for {type(event).__qualname__}, "
                "which is in its journal: never delete the @apply of a stored event"
            ) from None
        error.add_note(f"while actor {definition.name!r} applied {event!r:.200}")
        raise
    return state
