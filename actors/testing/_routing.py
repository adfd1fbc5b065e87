"""What the routes of an app add to a turn, run twice and compared, as a decider is."""

from collections.abc import Callable, Iterable, Sequence

from .._app import App
from .._decision import Decision
from .._effects import Enqueue, Tell, actor_name
from .._route import routed
from .._turn import DecideTurn
from ._case import shown
from ._diff import report
from ._purity import PurityError


def route_decision(
    app: App | None, decision: Decision, make_turn: Callable[[], DecideTurn]
) -> Sequence[Tell | Enqueue]:
    """Return what the routes of the app send for the events of a turn.

    Raises:
        PurityError: A route sent something else when it was run again; it is named.
        Exception: What a route raised: it fails the turn.
    """
    if app is None:
        return ()
    sent: list[Tell | Enqueue] = []
    for event in decision.events:
        for route in app.routes.get(type(event), ()):
            only = {type(event): (route,)}
            first, again = routed(only, (event,), make_turn()), routed(only, (event,), make_turn())
            difference = report("", [shown(each) for each in first], [shown(each) for each in again], "sends")
            if difference:
                raise PurityError(
                    route.name,
                    "sent something else when the same event was routed again; use no clock, no dice and no "
                    f"outer state but turn.now and turn.random. Expected is the first time:{difference}",
                )
            sent += first
    return sent


def check_targets(app: App | None, sent: Iterable[Tell | Enqueue]) -> None:
    """Check that the actors of the app that a turn tells something decide it.

    Raises:
        AssertionError: Naming the actor and the command.
    """
    if app is None:
        return
    for effect in sent:
        actor = app.actors.get(actor_name(effect.actor)) if isinstance(effect, Tell) else None
        if actor is not None and type(effect.command) not in actor.deciders:
            raise AssertionError(
                f"{actor.cls.__qualname__} is told {effect.command!r:.80}, which it has no @decide for"
            )
