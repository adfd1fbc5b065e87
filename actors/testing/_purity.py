"""The purity guard: a turn that is run again from the same history must come to the same.

If it does not, replay after a crash would build another state than the one that was answered from.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, final

from .._decision import Decision, run_decider
from .._definition import ActorDefinition
from .._fold import fold
from .._turn import DecideTurn
from ._diff import report


@final
class PurityError(AssertionError):
    """A decider or an applier is not pure.

    Attributes:
        culprit: The qualified name of the method.
    """

    def __init__(self, culprit: str, text: str) -> None:
        super().__init__(f"{culprit} {text}")
        self.culprit = culprit


def rebuild(definition: ActorDefinition, events: Sequence[object]) -> Any:
    """Return the state after some events, folded twice and compared.

    Raises:
        PurityError: Naming the `@apply` that raised, or came to different states.
    """
    first, second = definition.initial(), definition.initial()
    _same_states(definition, "its fields' defaults", first, second)
    for event in events:
        for state in (first, second):
            _apply(definition, state, deepcopy(event))  # each replay reads its own
        _same_states(definition, _applier(definition, event), first, second)
    return first


def check_replay(
    definition: ActorDefinition,
    command: object,
    history: Sequence[object],
    decided: Sequence[object],
    state: Any,
) -> None:
    """Check that a state after a turn is what a replay of all events makes of it.

    Args:
        definition: Whose turn it was.
        command: What was decided.
        history: The events before the turn.
        decided: The events of the turn.
        state: The state after it.

    Raises:
        PurityError: The decider changed the state itself, or an `@apply` is not pure.
    """
    replayed = rebuild(definition, [*history, *decided])
    difference = report("", replayed, state, definition.cls.__name__)
    if difference:
        raise PurityError(
            _decider(definition, command),
            "left a state that a replay of its events does not make; change the state in @apply only. "
            f"Expected is what the replay makes:{difference}",
        )


def check_repeat(
    definition: ActorDefinition,
    history: Sequence[object],
    command: object,
    make_turn: Callable[[], DecideTurn],
    *,
    decision: Decision,
    error: BaseException | None,
    stored: Callable[[object], object] | None = None,
) -> None:
    """Run a turn again, and check that it decides the same.

    Args:
        definition: Whose turn it was.
        history: The events before it.
        command: What was decided.
        make_turn: Makes the turn's own turn again: the same message, the same moment.
        decision: What was decided the first time.
        error: What it raised the first time, if it did.
        stored: As for `run_decider`.

    Raises:
        PurityError: It decided something else.
    """
    again, raised = Decision(), None
    try:
        run_decider(definition, rebuild(definition, history), command, make_turn(), again, stored)
    except Exception as caught:  # noqa: BLE001  # compared with the first
        raised = caught
    difference = report("", content_of(decision, error), content_of(again, raised), "turn")
    if difference:
        raise PurityError(
            _decider(definition, command),
            "decided differently when the same turn was run again; use no clock, no dice and no outer state "
            f"but turn.now and turn.random. Expected is the first time:{difference}",
        )


def content_of(decision: Decision, error: BaseException | None) -> dict[str, Any]:
    """Return what of a turn is compared: what it decided, or else what it raised."""
    if error is not None:
        return {"error": (type(error), str(error))}
    return {
        "events": decision.events,
        "sends": decision.sends,
        "reply": decision.reply,
        "stop": decision.stop,
    }


def _apply(definition: ActorDefinition, state: Any, event: object) -> None:
    try:
        fold(definition, state, [event])
    except Exception as error:
        raise PurityError(
            _applier(definition, event),
            f"raised {type(error).__name__}: {error}; the event has happened, so @apply never raises: "
            "check in @decide",
        ) from error


def _same_states(definition: ActorDefinition, culprit: str, first: object, second: object) -> None:
    difference = report("", first, second, definition.cls.__name__)
    if difference:
        raise PurityError(
            culprit,
            "came to another state when the same event was applied again; use no clock, no dice and no outer "
            f"state in @apply. Expected is the first time:{difference}",
        )


def _applier(definition: ActorDefinition, event: object) -> str:
    applier = definition.appliers.get(type(event))
    return getattr(applier, "__qualname__", definition.cls.__qualname__)


def _decider(definition: ActorDefinition, command: object) -> str:
    decider = definition.deciders.get(type(command))
    return decider.name if decider else definition.cls.__qualname__
