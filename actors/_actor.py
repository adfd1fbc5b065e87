"""`@actor`, `@decide` and `@apply`: how a plain attrs class becomes an event-sourced actor.

The decorators only leave marks. `definition_of` reads them, when an app is built, so that every class that an
annotation names exists by then.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs

from ._errors import DefinitionError
from ._keys import check_name, check_version
from ._marks import mark
from ._message import Upcaster, check_chain
from ._retry import Retry

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

OnFailure: TypeAlias = Literal["block", "skip", "park"]
SnapshotWhen: TypeAlias = Callable[[Any, Any], bool]

SPEC: Final = "__rolebook_actor__"
_NO_UPCASTERS: Mapping[int, Upcaster] = MappingProxyType({})


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
    scope: Mapping[str, Any] = attrs.field(repr=False)


def decide(method: F) -> F:
    """Mark a method as the one that decides a command.

    The method is a plain generator, `(self, command)` or `(self, command, turn)`: it yields events and
    effects, and returns the reply.
    A plain method that only returns a reply will do too.
    Which command it takes is read from the annotation; a union is taken as each of its members.
    It raises `Rejected` to refuse; any other exception is a failure, and the message is tried again.
    It awaits nothing, reads no clock and throws no dice but the turn's.
    """
    mark(method, "decide")
    return method


def apply(method: F) -> F:
    """Mark a method as the one that applies an event: `(self, event) -> None`.

    Which event it takes is read from the annotation; a union is taken as each of its members.
    It only changes the state, and it never raises: the event has happened.
    """
    mark(method, "apply")
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
    aliases: Iterable[str] = (),
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
        aliases: Not for actors, whose name is part of every stored row of theirs: it raises, and says how
            an actor is renamed.

    Returns:
        A decorator. Write it above `@attrs.define`.

    Raises:
        DefinitionError: A bad name or setting, or no attrs class.
    """
    name = check_name(name, "actor")
    if aliases:
        raise DefinitionError(
            f"actor {name!r}: actors have no aliases, because their journal and their queue go by their one"
            " name; stop the app, rename what is stored with SELECT rolebook.rename_actor('old', 'new'),"
            " and start the app with the new name"
        )
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
        scope=_caller_scope(),
    )
    _check_settings(spec)

    def decorate(cls: type[T]) -> type[T]:
        if "__attrs_attrs__" not in cls.__dict__:
            raise DefinitionError(
                f"actor {name!r}: {cls.__qualname__} is no attrs class; write @actor(...) above @attrs.define"
            )
        setattr(cls, SPEC, spec)
        return cls

    return decorate


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
