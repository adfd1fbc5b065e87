"""Running a decider: the hottest path of the product.

One look-up per command, one per yielded value, and nothing allocated for either.
A decision is filled in as it goes, so that when a decider raises, the caller still sees whether the state was
touched: the first thing that happens to a yielded event is to be listed, the second to be applied.
"""

from collections.abc import Callable
from contextlib import suppress
from types import CoroutineType, GeneratorType
from typing import Any, Final, NoReturn, cast, final

from ._definition import ActorDefinition, Decider
from ._effects import Enqueue, Stop, Tell
from ._errors import EffectError
from ._message import spec_of
from ._turn import DecideTurn

_MOST_YIELDS: Final = 100


@final
class Decision:
    """What a turn decided.

    A plain class with slots: one is made per message, and attrs' initialiser would do no less.

    Attributes:
        events: In the order they were yielded, each applied to the state already.
        sends: `Tell` and `Enqueue` values, in the order they were yielded.
        reply: What the decider returned.
        stop: Whether the actor asked to be passivated.
    """

    __slots__ = ("events", "reply", "sends", "stop")

    def __init__(self) -> None:
        self.events: list[object] = []
        self.sends: list[Tell | Enqueue] = []
        self.reply: object = None
        self.stop: bool = False

    @property
    def touched(self) -> bool:
        """Whether the state was changed: after a failure it must be thrown away then."""
        return bool(self.events)

    def __repr__(self) -> str:
        return f"Decision(events={self.events}, sends={self.sends}, reply={self.reply!r}, stop={self.stop})"


def decision_of(definition: ActorDefinition, state: Any, command: object, turn: DecideTurn) -> Decision:
    """Let an actor decide a command; see `run_decider`.

    Use `run_decider` where a failure must tell whether the state was touched.
    """
    decision = Decision()
    run_decider(definition, state, command, turn, decision)
    return decision


def run_decider(  # noqa: C901, PLR0917 - all positional, on the hot path
    definition: ActorDefinition,
    state: Any,
    command: object,
    turn: DecideTurn,
    decision: Decision,
    stored: Callable[[object], object] | None = None,
    sent: Callable[[Tell | Enqueue], object] | None = None,
) -> None:
    """Let an actor decide a command, applying each event to `state` at once.

    Args:
        definition: Whose turn it is.
        state: Its state, which is changed.
        command: What it is told.
        turn: What it may know of its turn.
        decision: Filled in; after an exception, `decision.touched` says whether `state` is spoilt.
        stored: Stores an event when it is yielded, and returns it as it will be read. That is what is
            applied: a state then shares nothing with the event, and is what a replay makes of it.
        sent: Told of each message when it is yielded, which is what is sent: later events may change a list
            of the state that is in it.

    Raises:
        Rejected: The decider refused.
        EffectError: The decider awaited, or yielded what is no event of this actor and no effect.
        Exception: Whatever else the decider or an applier raised.
    """
    decider = definition.deciders.get(type(command))
    if decider is None:
        _no_decider(definition, command)
    function = decider.function
    result: Any = function(state, command, turn) if decider.takes_turn else function(state, command)
    if type(result) is not GeneratorType:
        decision.reply = _at_once(decider, result)
        return
    appliers = definition.appliers
    events: list[object] = decision.events
    sends: list[Any] = decision.sends
    advance: Callable[[], object] = result.__next__
    try:
        while True:
            # Only the generator's own StopIteration is its end: one that an applier lets slip is an error.
            try:
                item = advance()
            except StopIteration as end:
                reply: object = end.value
                if type(reply) is GeneratorType:
                    _not_run(decider, "returned", reply)
                decision.reply = reply
                return
            kind = type(item)
            applier = appliers.get(kind)
            if applier is not None:
                events.append(item)
                applier(state, item if stored is None else stored(item))
            elif kind is Tell or kind is Enqueue:
                sends.append(item)
                if sent is not None:
                    sent(cast("Tell | Enqueue", item))
            elif kind is Stop:
                decision.stop = True
            else:
                _refuse(definition, decider, result, item)
    except BaseException:
        _close(result)
        raise


def _refuse(definition: ActorDefinition, decider: Decider, generator: Any, item: object) -> NoReturn:
    line = generator.gi_frame.f_lineno
    where = f"{decider.name} (line {line}) yielded"
    if type(item) is GeneratorType:
        _not_run(decider, f"(line {line}) yielded", item)
    if type(item) is CoroutineType:
        item.close()
        raise EffectError(f"{where} a coroutine; a decider awaits nothing: do I/O in a queue's handler")
    kind = type(item)
    spec = spec_of(kind)
    if isinstance(item, type):
        raise EffectError(f"{where} the class {item.__qualname__}; yield an instance of it")
    if spec is not None and spec.kind == "event":
        raise EffectError(
            f"{where} the event {kind.__qualname__}, but actor {definition.name!r} has no @apply for it"
        )
    if spec is not None:
        raise EffectError(
            f"{where} the command {kind.__qualname__} itself; yield Tell(...) or Enqueue(...) with it"
        )
    raise EffectError(
        f"{where} {item!r:.80}, which is no event and no effect; write @event(...) above its class"
    )


def _not_run(decider: Decider, did: str, generator: Any) -> NoReturn:
    _close(generator)
    raise EffectError(
        f"{decider.name} {did} a generator, which has not run; write `yield from` before the call of"
        f" {generator.__qualname__}"
    )


def _close(generator: Any) -> None:
    """Run what is left of a generator to its end now, and not when it is collected.

    A `finally` in it may yield or raise, which must not hide the error at hand.
    """
    for _ in range(_MOST_YIELDS):
        with suppress(Exception):
            generator.close()
            break


def _at_once(decider: Decider, result: Any) -> Any:
    """Return the reply of a decider that is a plain method."""
    if not hasattr(result, "__await__"):
        return result
    if type(result) is CoroutineType:
        result.close()
    raise EffectError(
        f"{decider.name} returned an awaitable; a decider awaits nothing: do I/O in a queue's handler"
    )


def _no_decider(definition: ActorDefinition, command: object) -> NoReturn:
    known = ", ".join(sorted(each.__qualname__ for each in definition.deciders)) or "nothing"
    raise EffectError(
        f"actor {definition.name!r} has no @decide for {type(command).__qualname__}; it decides {known}"
    )
