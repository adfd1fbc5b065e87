"""`given(...).when(...)`: one turn of an actor, with no runtime at all."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar, final, overload

import attrs

from .._app import App
from .._command import Command
from .._decision import Decision, run_decider
from .._definition import ActorDefinition, definition_of
from .._effects import Enqueue, Tell
from .._failure import failure_of
from .._keys import check_key
from .._turn import DecideTurn
from ._case import Case
from ._purity import PurityError, check_repeat, check_replay, rebuild
from ._roundtrip import RoundTrip
from ._routing import check_targets, route_decision

R = TypeVar("R")
_T = TypeVar("_T")

NOW: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""The moment of a turn, unless told otherwise."""

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@final
@attrs.frozen
class Given:
    """An actor with a history; see `given`."""

    _definition: ActorDefinition
    _history: tuple[object, ...]
    _app: App | None = None

    @overload
    def when(
        self,
        command: Command[R],
        *,
        key: str = ...,
        now: datetime = ...,
        message_id: str = ...,
        attempt: int = ...,
        headers: Mapping[str, str] = ...,
    ) -> Case[R]: ...
    @overload
    def when(
        self,
        command: object,
        *,
        key: str = ...,
        now: datetime = ...,
        message_id: str = ...,
        attempt: int = ...,
        headers: Mapping[str, str] = ...,
    ) -> Case[Any]: ...
    def when(
        self,
        command: object,
        *,
        key: str = "test",
        now: datetime = NOW,
        message_id: str = "message-1",
        attempt: int = 1,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Case[Any]:
        """Let the actor decide a command.

        Inside, the command, every event, every message sent, the reply and (if the actor has snapshots) the
        state go through the codec and must come back as they were.
        The turn is run twice from the same history and must decide the same; and a replay of all events must
        make the state that the turn left.

        Args:
            command: What it is told.
            key: Its key.
            now: The moment of the turn, as `turn.now`.
            message_id: The name of the message, as `turn.message_id`; it seeds `turn.random`.
            attempt: Which attempt this is.
            headers: What travelled with the message.

        Returns:
            What the turn came to. A refusal or a failure is in it, and is not raised.

        Raises:
            PurityError: A decider or an applier is not pure; it is named.
            AssertionError: Something did not come back from the codec as it was.
            Unencodable: Something cannot be stored at all.
            DefinitionError: The actor is defined wrongly.
        """
        queue = self._definition.name
        key = check_key(key)

        def make_turn() -> DecideTurn:
            return DecideTurn(queue, key, message_id, now, attempt, dict(headers))

        return _play(self._definition, self._history, command, make_turn, self._app)


def given(actor: type, *events: object, app: App | None = None) -> Given:
    """Begin a test of an actor: it has this history.

    Args:
        actor: Its class.
        events: What has happened to it, in order.
        app: The app, for tests of its routes: what a route sends is then sent by the case, after what the
            decider sent. Without it, the case is about the actor alone.

    Raises:
        DefinitionError: The actor is defined wrongly.

    Example:
        >>> given(Account, Deposited(5)).when(Deposit(10)).then(Deposited(10)).replies(15)  # doctest: +SKIP
    """
    return Given(definition_of(actor), events, app)


def _play(
    definition: ActorDefinition,
    history: Sequence[object],
    command: object,
    make_turn: Callable[[], DecideTurn],
    app: App | None,
) -> Case[Any]:
    codec = RoundTrip(definition)
    history = [codec.event(each) for each in history]
    command = codec.command(command)
    state, decision = rebuild(definition, history), Decision()
    decided: list[object] = []
    messages: list[Tell | Enqueue] = []
    unstorable: list[Exception] = []
    keep, sent = _keeping(codec.event, decided, unstorable), _keeping(codec.send, messages, unstorable)

    def stored(event: object) -> object:
        return deepcopy(keep(event))

    error = _caught(lambda: run_decider(definition, state, command, make_turn(), decision, stored, sent))
    if unstorable:
        raise unstorable[0]
    check_repeat(definition, history, command, make_turn, decision=decision, error=error, stored=codec.event)
    decision.events[:], decision.sends[:] = decided, messages
    if error is None:
        error = _caught(lambda: messages.extend(route_decision(app, decision, make_turn)))
    if error is None:
        decision.sends.extend(map(codec.send, messages[len(decision.sends) :]))
        check_targets(app, decision.sends)
        codec.reply(command, decision.reply)
        check_replay(definition, command, history, decided, state)
        codec.state(state)
    else:
        if not decided:  # else the state is thrown away, whatever is in it
            check_replay(definition, command, history, (), state)
        state = rebuild(definition, history)

    def go_on(events: Sequence[object], following: object, **turn: Any) -> Case[Any]:
        return Given(definition, tuple(events), app).when(following, **turn)

    return Case(state, definition, history, decision, error, go_on)


def _caught(step: Callable[[], object]) -> Exception | None:
    """Take a step of the turn, and return what it raised: it is what the turn came to."""
    try:
        step()
    except PurityError:
        raise
    except BaseException as error:  # noqa: BLE001 - user code may raise anything
        return failure_of(error)
    return None


def _keeping(store: Callable[[_T], _T], kept: list[_T], problems: list[Exception]) -> Callable[[_T], _T]:
    """Store each thing at once, and return what it comes back as; what cannot be stored is no outcome."""

    def keep(item: _T) -> _T:
        try:
            kept.append(store(item))
        except Exception as problem:
            problems.append(problem)
            raise
        return kept[-1]

    return keep
