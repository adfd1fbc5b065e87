"""Routes: from an event of one actor to a command for another, in the commit that stores the event.

This is what makes a process manager exact: the event and the message that tells of it are one transaction, so
neither is ever without the other, and nothing has to be read again to find out who missed what.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, final

import attrs

from ._definition import ActorDefinition, Decider
from ._effects import Enqueue, Tell, actor_name
from ._errors import DefinitionError, EffectError, Rejected
from ._hints import classes_of, is_plain, parameters
from ._message import spec_of
from ._turn import DecideTurn
from ._yields import TellCall, tells

_EVENT: Final = 1
_EVENT_AND_TURN: Final = 2


@final
@attrs.frozen(eq=False)
class RouteDefinition:
    """Everything that is known about a route.

    Attributes:
        name: The qualified name of the function, for errors.
        function: `function(event)` or `function(event, turn)`.
        takes_turn: Whether it has the second parameter.
        events: The classes of events it routes.
        tells: What its text says it tells whom, as far as that can be read.
    """

    name: str
    function: Callable[..., Any]
    takes_turn: bool
    events: tuple[type, ...]
    tells: tuple[TellCall, ...]


def make_route(function: Callable[..., Any]) -> RouteDefinition:
    """Check a function that is to route events.

    Raises:
        DefinitionError: It is async, its parameters are not `(event)` or `(event, turn)`, or what it takes is
            no event.
    """
    name = getattr(function, "__qualname__", repr(function))
    what = f"route {name}"
    if not is_plain(function):
        raise DefinitionError(f"{what} is no plain function; write `def` with @app.route above it")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise DefinitionError(f"{what} is async; a route is pure: write `def` and return a message")
    given = parameters(function)
    if len(given) not in (_EVENT, _EVENT_AND_TURN):
        raise DefinitionError(f"{what}: a route takes (event) or (event, turn)")
    # The scope where the route stands may be a function: its closure knows the names there.
    names = inspect.getclosurevars(function).nonlocals
    return RouteDefinition(
        name=name,
        function=function,
        takes_turn=len(given) == _EVENT_AND_TURN,
        events=_events(classes_of(function, given[0], names, what), what),
        tells=tuple(tells(function)),
    )


def check_route(route: RouteDefinition, actors: Mapping[str, ActorDefinition]) -> None:
    """Check a route against the actors of its app.

    Raises:
        DefinitionError: No actor has such events, or the actor it tells does not decide such commands.
    """
    for event in route.events:
        if not any(event in actor.appliers for actor in actors.values()):
            raise DefinitionError(
                f"route {route.name} takes {event.__qualname__}, but no actor of the app has an @apply for "
                "it, so it would never run; add the actor to the app before its routes"
            )
    for call in route.tells:
        actor = actors.get(actor_name(call.actor))
        if actor is not None and call.command not in actor.deciders:
            raise DefinitionError(
                f"route {route.name} tells {actor.cls.__qualname__} {call.command.__qualname__}, but it "
                f"has no @decide for that; it decides {_names(actor.deciders)}"
            )


def routed(
    routes: Mapping[type, Sequence[RouteDefinition]], events: Iterable[object], turn: DecideTurn
) -> list[Tell | Enqueue]:
    """Return the messages that a turn's events are routed to, in the order of the events. Pure.

    Args:
        routes: The routes by the class of the event.
        events: What the turn decided.
        turn: The turn.

    Raises:
        EffectError: A route refused, or returned what is no message.
        Exception: Whatever else a route raised.
    """
    return [
        effect
        for event in events
        for route in routes.get(type(event), ())
        for effect in _messages(route, event, turn)
    ]


def _messages(route: RouteDefinition, event: object, turn: DecideTurn) -> list[Tell | Enqueue]:
    found: Any
    try:
        found = route.function(event, turn) if route.takes_turn else route.function(event)
        effects = found if hasattr(found, "__iter__") else (found,)
        return [_checked(route, effect) for effect in effects if effect is not None]
    except Rejected as error:
        raise EffectError(
            f"route {route.name} raised Rejected: {error}; the event has been decided, so a route refuses "
            "nothing: let the actor that it tells refuse"
        ) from error


def _checked(route: RouteDefinition, effect: Any) -> Tell | Enqueue:
    if type(effect) is Tell or type(effect) is Enqueue:
        return effect
    raise EffectError(
        f"route {route.name} returned {effect!r:.80}; return Tell(...), Enqueue(...), several of them or None"
    )


def _events(classes: tuple[type, ...], what: str) -> tuple[type, ...]:
    for cls in classes:
        spec = spec_of(cls)
        if spec is None or spec.kind != "event":
            raise DefinitionError(
                f"{what} takes {cls.__qualname__}, which is no event; write @event(...) above its class"
            )
    return classes


def _names(deciders: Mapping[type, Decider]) -> str:
    return ", ".join(sorted(each.__qualname__ for each in deciders)) or "nothing"
