"""What a process runs of its app. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any, final

import attrs
from attrs import frozen

from rolebook.actors import App, Child, InvalidSetting, Supervisor

from ._settings import Settings


@final
@frozen
class Role:
    """What a process runs: the queues that it serves, and the app's own children that it starts."""

    queues: tuple[str, ...]
    children: tuple[Child | Supervisor, ...]

    @classmethod
    def of(cls, app: App, serve: Collection[str] | None) -> Role:
        """Return what a process runs of an app.

        Args:
            app: The app.
            serve: The names of actors, queues and children; None for all there are.

        Raises:
            InvalidSetting: The app has nothing of a name, or there is nothing to run.
        """
        if serve is None:
            return cls(app.queues, tuple(app.children))
        if isinstance(serve, str):
            raise InvalidSetting("serve", f"{serve!r} is one text", "give a list of names")
        known = names(app)
        for name in serve:
            if name not in known:
                problem = f"app {app.name!r} has nothing of the name {name!r}"
                raise InvalidSetting("serve", problem, f"it has: {', '.join(known)}")
        if not serve:
            remedy = "name what to run; what only sends, asks and reads is opened with open_client(app)"
            raise InvalidSetting("serve", "it names nothing", remedy)
        return cls(
            tuple(queue for queue in app.queues if queue in serve),
            tuple(child for child in app.children if child.name in serve),
        )

    @property
    def is_something(self) -> bool:
        """Whether it is to run anything: a client runs nothing."""
        return bool(self.queues or self.children)

    def needs(self, app: App) -> tuple[str, ...]:
        """Return the names of the resources that what runs needs, in the order they were registered."""
        needed = {
            name for queue in self.queues if queue in app.handlers for name in app.handlers[queue].needs
        }
        for child in self._starts():
            needed.update(_parameters(child))
        return tuple(name for name in app.resources if name in needed)

    def crowd(self, app: App, settings: Settings) -> str:
        """Say which queues could want more connections at once than the pool has; nothing if none could."""
        wanted = {
            name: settings.concurrency.get(name, handler.concurrency)
            for name, handler in app.handlers.items()
            if name in self.queues and handler.takes_turn
        }
        total = sum(wanted.values())
        if total <= settings.pool_size:
            return ""
        named = ", ".join(f"{name} {count}" for name, count in wanted.items())
        return (
            f"up to {total} messages are worked on at once by handlers that take a turn ({named}), and the"
            f" pool has {settings.pool_size} connections: where a handler uses turn.connection(), the others"
            " wait for theirs, at no message's cost; Settings(pool_size=…) or concurrency=… changes that"
        )

    def given(self, things: Mapping[str, Any]) -> Role:
        """Return the role with start functions that are given what they have parameters for."""
        return attrs.evolve(self, children=tuple(_given(child, things) for child in self.children))

    def _starts(self) -> Iterator[Child]:
        for child in self.children:
            yield from _leaves(child)


def names(app: App) -> tuple[str, ...]:
    """Return the names of all that a process can run of an app."""
    return (*app.queues, *(child.name for child in app.children))


def _leaves(child: Child | Supervisor) -> Iterator[Child]:
    if isinstance(child, Child):
        yield child
    else:
        for each in child.children:
            yield from _leaves(each)
        if child.template is not None:
            yield from _leaves(child.template)


def _given(child: Child | Supervisor, things: Mapping[str, Any]) -> Any:
    if isinstance(child, Supervisor):
        children = tuple(_given(each, things) for each in child.children)
        template = None if child.template is None else _given(child.template, things)
        return attrs.evolve(child, children=children, template=template)
    wanted = {name: things[name] for name in _parameters(child) if name in things}
    return attrs.evolve(child, start=partial(child.start, **wanted)) if wanted else child


def _parameters(child: Child) -> tuple[str, ...]:
    try:
        signature = inspect.signature(child.start)
    except ValueError:  # a built-in without a signature takes nothing of ours
        return ()
    return tuple(
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
    )
