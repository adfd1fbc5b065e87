"""What `@actor`, `@decide` and `@apply` amount to: the definition that the machinery runs by."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FunctionType, MappingProxyType
from typing import Any, Final, final

import attrs

from ._actor import SPEC, ActorSpec, OnFailure, SnapshotWhen
from ._effects import Enqueue, Stop, Tell
from ._errors import DefinitionError
from ._hints import classes_of, parameters
from ._marks import Marked, marked_methods
from ._message import Upcaster, check_defaults, spec_of
from ._retry import Retry
from ._yields import yielded_classes

_DEFINITION = "__rolebook_definition__"
_SELF_AND_COMMAND: Final = 2
_SELF_COMMAND_AND_TURN: Final = 3
_SELF_AND_EVENT: Final = 2


@final
@attrs.frozen
class Decider:
    """One `@decide` method.

    Attributes:
        name: Its qualified name, for errors.
        function: The plain function: `function(state, command)` or `function(state, command, turn)`.
        takes_turn: Whether it has the second parameter.
        commands: The classes of commands it decides.
    """

    name: str
    function: Callable[..., Any]
    takes_turn: bool
    commands: tuple[type, ...]


@final
@attrs.frozen(eq=False)
class ActorDefinition:
    """Everything that is known about a class of actors.

    Attributes:
        name: The stored name, which is also the name of its queue.
        cls: The class; an instance is the state.
        deciders: From the class of a command, who decides it.
        appliers: From the class of an event, the function that applies it to a state.
        retry: The policy for turns that fail.
        on_failure: What a failing message does to the later ones of its key.
        snapshot_every: A snapshot after so many events, or None.
        snapshot_when: A snapshot when `snapshot_when(state, event)` says so, for the last event of a turn.
        snapshot_keep: How many snapshots of one actor are kept.
        state_version: The version of the state's fields and of the meaning of `@apply`.
        state_upcast: From an older state version, a function to the next.
        passivate_after: Forgotten in memory after so many idle seconds.
        takes_turn: Whether any decider looks at its turn.
    """

    name: str
    cls: type
    deciders: Mapping[type, Decider]
    appliers: Mapping[type, Callable[[Any, Any], object]]
    retry: Retry
    on_failure: OnFailure
    snapshot_every: int | None
    snapshot_when: SnapshotWhen | None
    snapshot_keep: int
    state_version: int
    state_upcast: Mapping[int, Upcaster]
    passivate_after: float
    takes_turn: bool

    @property
    def snapshots(self) -> bool:
        """Whether this actor's state is ever stored."""
        return self.snapshot_every is not None or self.snapshot_when is not None

    def initial(self) -> Any:
        """Return the state of an actor that nothing has happened to yet."""
        return self.cls()


def definition_of(cls: type) -> ActorDefinition:
    """Return the definition of an actor's class, made at the first call.

    Raises:
        DefinitionError: The class is no actor, or one of its methods is defined wrongly.
    """
    made: ActorDefinition | None = cls.__dict__.get(_DEFINITION)
    if made is None:
        made = _define(cls)
        setattr(cls, _DEFINITION, made)
    return made


def is_actor(cls: object) -> bool:
    """Say whether something is a class with `@actor`."""
    return isinstance(cls, type) and SPEC in cls.__dict__


def _define(cls: type) -> ActorDefinition:
    spec: ActorSpec | None = cls.__dict__.get(SPEC)
    if spec is None:
        raise DefinitionError(f"{cls.__qualname__} is no actor; write @actor(...) above its class")
    _check_initial(cls, spec)
    deciders, appliers = _deciders(cls, spec), _appliers(cls, spec)
    for decider in deciders.values():
        _check_yields(decider, appliers, spec)
    settings = {
        each.name: getattr(spec, each.name) for each in attrs.fields(ActorSpec) if each.name != "scope"
    }
    return ActorDefinition(
        cls=cls,
        deciders=MappingProxyType(deciders),
        appliers=MappingProxyType(appliers),
        takes_turn=any(each.takes_turn for each in deciders.values()),
        **settings,
    )


def _check_initial(cls: type, spec: ActorSpec) -> None:
    check_defaults(cls, f"actor {spec.name!r}")
    for field in attrs.fields(cls):
        if field.init and field.default is attrs.NOTHING:
            raise DefinitionError(
                f"actor {spec.name!r}: {cls.__qualname__}.{field.name} has no default; "
                "an actor begins as a state with nothing in it, so give every field one"
            )


def _deciders(cls: type, spec: ActorSpec) -> dict[type, Decider]:
    deciders: dict[type, Decider] = {}
    marked = marked_methods(cls, "decide", f"actor {spec.name!r}")
    for method, _ in marked:
        decider = _decider(method, spec)
        for command in decider.commands:
            _check_kind(command, "command", decider.name, spec.name)
            if command in deciders:
                raise DefinitionError(
                    f"actor {spec.name!r}: {deciders[command].name} and {decider.name} both decide "
                    f"{command.__qualname__}; keep one"
                )
            deciders[command] = decider
    _check_overridden(marked, deciders, spec)
    return deciders


def _decider(method: FunctionType, spec: ActorSpec) -> Decider:
    what = f"actor {spec.name!r}: {method.__qualname__}"
    _refuse_async(method, what)
    given = parameters(method)
    if len(given) not in (_SELF_AND_COMMAND, _SELF_COMMAND_AND_TURN):
        raise DefinitionError(f"{what}: a decider takes (self, command) or (self, command, turn)")
    return Decider(
        name=method.__qualname__,
        function=method,
        takes_turn=len(given) == _SELF_COMMAND_AND_TURN,
        commands=classes_of(method, given[1], spec.scope, what),
    )


def _appliers(cls: type, spec: ActorSpec) -> dict[type, Callable[[Any, Any], object]]:
    appliers: dict[type, Callable[[Any, Any], object]] = {}
    marked = marked_methods(cls, "apply", f"actor {spec.name!r}")
    for method, _ in marked:
        what = f"actor {spec.name!r}: {method.__qualname__}"
        _refuse_async(method, what)
        given = parameters(method)
        if len(given) != _SELF_AND_EVENT or inspect.isgeneratorfunction(method):
            raise DefinitionError(
                f"{what}: an applier is a plain method (self, event) -> None, without yield"
            )
        if inspect.signature(method).return_annotation not in (inspect.Parameter.empty, None, "None"):
            raise DefinitionError(
                f"{what}: what an applier returns is not looked at; change self in it, and write -> None"
            )
        for event in classes_of(method, given[1], spec.scope, what):
            _check_kind(event, "event", method.__qualname__, spec.name)
            if event in appliers:
                raise DefinitionError(f"{what}: {event.__qualname__} has another @apply method; keep one")
            appliers[event] = method
    _check_overridden(marked, appliers, spec)
    return appliers


def _check_overridden(marked: list[Marked], taken: Mapping[type, Any], spec: ActorSpec) -> None:
    """Make sure that what an overridden method took is taken by the one that overrides it, or another."""
    for method, overridden in marked:
        if overridden is None:
            continue
        what = f"actor {spec.name!r}: {method.__qualname__}"
        classes: tuple[type, ...] = ()
        with suppress(DefinitionError, IndexError):  # of a base that leaves it open
            classes = classes_of(overridden, parameters(overridden)[1], spec.scope, what)
        for cls in classes:
            if cls not in taken and spec_of(cls) is not None:
                raise DefinitionError(
                    f"{what} overrides {overridden.__qualname__}, and nothing takes {cls.__qualname__}"
                    " any more; give it another name, or let it take that too"
                )


def _check_yields(decider: Decider, appliers: Mapping[type, Any], spec: ActorSpec) -> None:
    for cls in yielded_classes(decider.function, spec.scope):
        if cls in appliers or cls in (Tell, Enqueue, Stop):
            continue
        what = f"actor {spec.name!r}: {decider.name} yields {cls.__qualname__}"
        message = spec_of(cls)
        if message is None:
            raise DefinitionError(
                f"{what}, which is no event and no effect; write @event(...) above its class"
            )
        if message.kind == "command":
            raise DefinitionError(f"{what} itself, a command; yield Tell(...) or Enqueue(...) with it")
        raise DefinitionError(f"{what}, but there is no @apply for it; add a method that applies it")


def _refuse_async(method: FunctionType, what: str) -> None:
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        raise DefinitionError(
            f"{what} is async; a turn is pure: write `def`, yield effects, and do I/O in a queue's handler"
        )


def _check_kind(cls: type, kind: str, method: str, actor_name: str) -> None:
    spec = spec_of(cls)
    if spec is None or spec.kind != kind:
        raise DefinitionError(
            f"actor {actor_name!r}: {method} takes {cls.__qualname__}, which is no {kind}; "
            f"write @{kind}(...) above its class"
        )
