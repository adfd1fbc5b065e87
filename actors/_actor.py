"""`@actor`, `@decide` and `@apply`: how a plain attrs class becomes an event-sourced actor.

The decorators only leave marks. `definition_of` reads them, when an app is built, so that every class that an
annotation names exists by then.
"""

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs

from ._errors import DefinitionError
from ._hints import classes_of, parameters
from ._keys import check_name, check_version
from ._message import Upcaster, check_chain, spec_of
from ._retry import Retry

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

OnFailure: TypeAlias = Literal["block", "skip", "park"]
SnapshotWhen: TypeAlias = Callable[[Any, Any], bool]

_ROLE = "__understudy_role__"
_SPEC = "__understudy_actor__"
_DEFINITION = "__understudy_definition__"
_NO_UPCASTERS: Mapping[int, Upcaster] = MappingProxyType({})
_SELF_AND_COMMAND: Final = 2
_SELF_COMMAND_AND_TURN: Final = 3
_SELF_AND_EVENT: Final = 2


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


@attrs.frozen
class ActorSpec:
    """What `@actor` was given."""

    name: str
    retry: Retry
    on_failure: OnFailure
    snapshot_every: int | None
    snapshot_when: SnapshotWhen | None
    snapshot_keep: int
    state_version: int
    state_upcast: Mapping[int, Upcaster]
    passivate_after: float
    aliases: tuple[str, ...]
    scope: Mapping[str, Any] = attrs.field(repr=False)


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
        snapshot_when: A snapshot when `snapshot_when(state, event)` says so for the last event of a turn, or None.
        snapshot_keep: How many snapshots of one actor are kept.
        state_version: The version of the state's fields and of the meaning of `@apply`.
        state_upcast: From an older state version, a function to the next.
        passivate_after: Forgotten in memory after so many idle seconds.
        aliases: Older names, whose journals and messages still belong to this actor.
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
    aliases: tuple[str, ...]
    takes_turn: bool

    @property
    def snapshots(self) -> bool:
        """Whether this actor's state is ever stored."""
        return self.snapshot_every is not None or self.snapshot_when is not None

    def initial(self) -> Any:
        """Return the state of an actor that nothing has happened to yet."""
        return self.cls()


def decide(method: F) -> F:
    """Mark a method as the one that decides a command.

    The method is a plain generator, `(self, command)` or `(self, command, turn)`: it yields events and effects
    and returns the reply.
    A plain method that only returns a reply will do too.
    Which command it takes is read from the annotation; a union is taken as each of its members.
    It raises `Rejected` to refuse; any other exception is a failure, and the message is tried again.
    It awaits nothing, reads no clock and throws no dice but the turn's.
    """
    setattr(method, _ROLE, "decide")
    return method


def apply(method: F) -> F:
    """Mark a method as the one that applies an event: `(self, event) -> None`.

    Which event it takes is read from the annotation; a union is taken as each of its members.
    It only changes the state, and it never raises: the event has happened.
    """
    setattr(method, _ROLE, "apply")
    return method


def actor(
    name: str,
    *,
    retry: Retry | None = None,
    on_failure: OnFailure = "block",
    snapshot_every: int | None = None,
    snapshot_when: SnapshotWhen | None = None,
    snapshot_keep: int = 1,
    state_version: int = 1,
    state_upcast: Mapping[int, Upcaster] = _NO_UPCASTERS,
    passivate_after: float = 300.0,
    aliases: tuple[str, ...] = (),
) -> Callable[[type[T]], type[T]]:
    """Make an attrs class an event-sourced actor.

    Args:
        name: The stored name; also the name of the actor's queue.
        retry: How often a failing message is tried; five times unless told otherwise.
        on_failure: "block" lets later messages of the key wait for the retry, "skip" lets them pass,
            "park" stops the key until it is resumed.
        snapshot_every: Store a snapshot of the state after so many events.
        snapshot_when: Store one when this says so: `(state, event) -> bool`, asked for a turn's last event.
        snapshot_keep: How many snapshots to keep of each actor.
        state_version: Raise it when the state's fields or the meaning of an `@apply` change: snapshots of
            another version are upcast, or not used.
        state_upcast: From each older state version, a pure function from its stored fields to the next's.
        passivate_after: Seconds without a message after which the actor is forgotten in memory.
        aliases: Older names of this actor.

    Returns:
        A decorator. Write it above `@attrs.define`.

    Raises:
        DefinitionError: A bad name or setting, or no attrs class.
    """
    check_name(name, "actor")
    for alias in aliases:
        check_name(alias, "actor")
    spec = ActorSpec(
        name=name,
        retry=retry or Retry(),
        on_failure=on_failure,
        snapshot_every=snapshot_every,
        snapshot_when=snapshot_when,
        snapshot_keep=snapshot_keep,
        state_version=state_version,
        state_upcast=dict(state_upcast),
        passivate_after=passivate_after,
        aliases=tuple(aliases),
        scope=_caller_scope(),
    )
    _check_settings(spec)

    def decorate(cls: type[T]) -> type[T]:
        if not attrs.has(cls) or "__attrs_attrs__" not in cls.__dict__:
            raise DefinitionError(
                f"actor {name!r}: {cls.__qualname__} is no attrs class; write @actor(...) above @attrs.define"
            )
        setattr(cls, _SPEC, spec)
        return cls

    return decorate


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
    return isinstance(cls, type) and _SPEC in cls.__dict__


def _define(cls: type) -> ActorDefinition:
    spec: ActorSpec | None = cls.__dict__.get(_SPEC)
    if spec is None:
        raise DefinitionError(f"{cls.__qualname__} is no actor; write @actor(...) above its class")
    _check_initial(cls, spec)
    deciders = _deciders(cls, spec)
    settings = {
        each.name: getattr(spec, each.name) for each in attrs.fields(ActorSpec) if each.name != "scope"
    }
    return ActorDefinition(
        cls=cls,
        deciders=MappingProxyType(deciders),
        appliers=MappingProxyType(_appliers(cls, spec)),
        takes_turn=any(each.takes_turn for each in deciders.values()),
        **settings,
    )


def _check_initial(cls: type, spec: ActorSpec) -> None:
    for field in attrs.fields(cls):
        if field.init and field.default is attrs.NOTHING:
            raise DefinitionError(
                f"actor {spec.name!r}: {cls.__qualname__}.{field.name} has no default; "
                "an actor begins as a state with nothing in it, so give every field one"
            )


def _deciders(cls: type, spec: ActorSpec) -> dict[type, Decider]:
    deciders: dict[type, Decider] = {}
    for method in _methods(cls, "decide"):
        decider = _decider(method, spec)
        for command in decider.commands:
            _check_kind(command, "command", decider.name, spec.name)
            if command in deciders:
                raise DefinitionError(
                    f"actor {spec.name!r}: {deciders[command].name} and {decider.name} both decide "
                    f"{command.__qualname__}; keep one"
                )
            deciders[command] = decider
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
    for method in _methods(cls, "apply"):
        what = f"actor {spec.name!r}: {method.__qualname__}"
        _refuse_async(method, what)
        given = parameters(method)
        if len(given) != _SELF_AND_EVENT or inspect.isgeneratorfunction(method):
            raise DefinitionError(
                f"{what}: an applier is a plain method (self, event) -> None, without yield"
            )
        for event in classes_of(method, given[1], spec.scope, what):
            _check_kind(event, "event", method.__qualname__, spec.name)
            if event in appliers:
                raise DefinitionError(f"{what}: {event.__qualname__} has another @apply method; keep one")
            appliers[event] = method
    return appliers


def _methods(cls: type, role: str) -> list[FunctionType]:
    """Return the marked methods of a class and its bases, in the order of their text."""
    found = {
        name: value
        for base in reversed(cls.__mro__)
        for name, value in base.__dict__.items()
        if isinstance(value, FunctionType)
    }
    return [each for each in found.values() if getattr(each, _ROLE, None) == role]


def _refuse_async(method: FunctionType, what: str) -> None:
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        raise DefinitionError(
            f"{what} is async; a turn is pure, so write `def` and yield effects, and do I/O in a queue's handler"
        )


def _check_kind(cls: type, kind: str, method: str, actor_name: str) -> None:
    spec = spec_of(cls)
    if spec is None or spec.kind != kind:
        raise DefinitionError(
            f"actor {actor_name!r}: {method} takes {cls.__qualname__}, which is no {kind}; "
            f"write @{kind}(...) above its class"
        )


def _check_settings(spec: ActorSpec) -> None:
    what = f"actor {spec.name!r}"
    if spec.on_failure not in ("block", "skip", "park"):
        raise DefinitionError(f'{what}: on_failure is "block", "skip" or "park", not {spec.on_failure!r}')
    if spec.snapshot_every is not None and spec.snapshot_every < 1:
        raise DefinitionError(f"{what}: snapshot_every={spec.snapshot_every}: give 1 or more, or None")
    if spec.snapshot_keep < 1:
        raise DefinitionError(f"{what}: snapshot_keep={spec.snapshot_keep}: give 1 or more")
    if not spec.passivate_after > 0:
        raise DefinitionError(f"{what}: passivate_after={spec.passivate_after}: give seconds above 0")
    check_version(spec.state_version, f"{what}: state_version")
    check_chain(f"{what}'s state", spec.state_version, spec.state_upcast)


def _caller_scope() -> Mapping[str, Any]:
    """Return the local names where `@actor` stands, for annotations that are text inside a function."""
    frame = inspect.currentframe()
    frame = frame.f_back.f_back if frame and frame.f_back else None
    if frame is None or frame.f_locals is frame.f_globals:
        return {}
    return {name: value for name, value in frame.f_locals.items() if isinstance(value, type)}
