"""An app: its actors, its queue handlers, its limits. What `open_runtime` runs."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, final

import attrs

from ._bundle import Bundle
from ._definition import ActorDefinition, definition_of
from ._errors import DefinitionError
from ._handler import HandlerDefinition, OnFailure, make_handler
from ._keys import check_name
from ._limits import Limits
from ._resource import OpenResource, make_resource
from ._retry import Retry
from ._route import RouteDefinition, check_route, make_route
from .codec import Codec

H = TypeVar("H", bound=Callable[..., Awaitable[object]])
F = TypeVar("F", bound=Callable[..., object])


@final
@attrs.define(eq=False, init=False)
class App:
    """What a program runs: actors, queue handlers, routes, and further children for its supervision tree.

    Mistakes are found here, when the program starts, and not when the first message comes.

    Args:
        name: The app's name: of its processes, and of the root of its tree.
        actors: Its classes of actors.
        messages: Further classes of events and commands it can read, such as those of old journals.
        children: Started after everything else, as part of the supervision tree.
        limits: Bounds on sizes, depths and times.

    Raises:
        DefinitionError: Naming what is defined wrongly, and the remedy.

    Example:
        >>> app = App("bank", actors=[Account])  # doctest: +SKIP
    """

    name: str
    limits: Limits
    children: Sequence[Any]
    codec: Codec
    _actors: dict[str, ActorDefinition]
    _handlers: dict[str, HandlerDefinition]
    _routes: dict[type, list[RouteDefinition]]
    _resources: dict[str, OpenResource]
    _bundles: list[Bundle]

    def __init__(
        self,
        name: str,
        actors: Iterable[type] = (),
        *,
        messages: Iterable[type] = (),
        children: Iterable[Any] = (),
        limits: Limits | None = None,
    ) -> None:
        self.name = check_name(name, "app")
        self.limits = limits or Limits()
        self.children = ()
        self.codec = Codec()
        self._actors = {}
        self._handlers = {}
        self._routes = {}
        self._resources = {}
        self._bundles = []
        self.add(actors, messages, children)

    def add(
        self, actors: Iterable[type], messages: Iterable[type] = (), children: Iterable[Any] = ()
    ) -> None:
        """Add actors, messages and children, as at the start.

        Raises:
            DefinitionError: Naming what is defined wrongly, and the remedy.
        """
        for cls in actors:
            self._add_actor(definition_of(cls))
        for message in messages:
            self.codec.add(message)
        self.children = (*self.children, *children)

    def include(self, bundle: Bundle) -> None:
        """Add what a bundle has: its actors first, then its handlers, routes and resources in their order.

        Raises:
            DefinitionError: It is included already, a name is taken, or something in it is defined wrongly.
        """
        if bundle in self._bundles:
            raise DefinitionError(f"bundle {bundle.name!r} is included in app {self.name!r} already")
        self._bundles.append(bundle)
        bundle.add_to(self)

    @property
    def resources(self) -> Mapping[str, OpenResource]:
        """What opens its resources, by name, in the order they were registered."""
        return MappingProxyType(self._resources)

    def resource(self, function: F) -> F:
        """Register a function that opens something for the length of a runtime: an HTTP client, a model.

        The function is an async generator that yields the thing once, or returns an async context manager. A
        parameter of its name, of a queue's handler or of a child's start function, is given the thing.
        Actors are given none: a decider is pure.

        Guarantee: it is opened once in a process, before anything that needs it starts, and closed after all
        of that has ended; not at all in a process that runs nothing that needs it.

        Raises:
            DefinitionError: The name is taken, or the function opens nothing.

        Example:
            ```python
            @app.resource
            async def http() -> AsyncGenerator[httpx.AsyncClient]:
                async with httpx.AsyncClient() as client:
                    yield client


            @app.handler("mail")
            async def mail(command: SendMail, turn: rb.Turn, http: httpx.AsyncClient) -> None: ...
            ```
        """
        name, opens = make_resource(function)
        if name in self._resources:
            raise DefinitionError(f"app {self.name!r} has a resource {name!r} already; rename one")
        self._resources[name] = opens
        return function

    @property
    def actors(self) -> Mapping[str, ActorDefinition]:
        """Its actors by name."""
        return MappingProxyType(self._actors)

    @property
    def handlers(self) -> Mapping[str, HandlerDefinition]:
        """Its queue handlers, by the name of the queue."""
        return MappingProxyType(self._handlers)

    @property
    def routes(self) -> Mapping[type, Sequence[RouteDefinition]]:
        """Its routes, by the class of the event, in the order they were registered."""
        return MappingProxyType(self._routes)

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of all its queues: one per actor, one per handler."""
        return (*self._actors, *self._handlers)

    def handler(
        self,
        queue: str,
        *,
        concurrency: int = 8,
        retry: Retry | None = None,
        on_failure: OnFailure = "skip",
    ) -> Callable[[H], H]:
        """Register an async function as the handler of a queue.

        The function takes `(command)` or `(command, turn)`. Which commands, is read from the annotation; a
        union is taken as each of its members.
        Messages of one key are handled one at a time; others concurrently, in no promised order.

        Args:
            queue: The name of the queue.
            concurrency: How many messages one process handles at once.
            retry: How often a failing message is tried; five times unless told otherwise.
            on_failure: What a failing message does to later ones of its key: "skip" lets them pass, "block"
                lets them wait, "park" stops the key.

        Raises:
            DefinitionError: Not async, the queue has a handler or is an actor's, or no command is taken.
        """

        def register(function: H) -> H:
            definition = make_handler(
                function, queue, concurrency=concurrency, retry=retry or Retry(), on_failure=on_failure
            )
            self._check_free(queue, definition.name)
            for command in definition.commands:
                self.codec.add(command)
            self._handlers[queue] = definition
            return function

        return register

    def route(self, function: F) -> F:
        """Register a function that turns an event of one actor into a command for another.

        The function takes `(event)` or `(event, turn)`; which events, is read from the annotation, and a
        union is taken as each of its members. It returns a `Tell` or an `Enqueue`, several of them, or None.
        `turn` is the turn that decided the event: `turn.actor` and `turn.key` say whose it is.

        Guarantee: whenever an actor of this app decides such an event, what the function returns is sent in
        the transaction that stores the event. So it is sent exactly once, after what the decider itself
        sent, and in the order of the events. Events from before the route was there are not routed.

        The function is pure, like a decider, and part of the turn: if it raises, the turn fails.

        Raises:
            DefinitionError: Async, no event is taken, no actor of the app has such events, or the actor it
                tells does not decide such commands.

        Example:
            >>> @app.route  # doctest: +SKIP
            ... def payment_taken(event: PaymentTaken) -> rb.Tell:
            ...     return rb.Tell(Fulfilment, event.order, NotePayment(event.amount))
        """
        definition = make_route(function)
        check_route(definition, self._actors)
        for event in definition.events:
            self._routes.setdefault(event, []).append(definition)
        return function

    def check(self) -> None:
        """Make sure that there is something to run, and that everything that handlers need is there.

        Raises:
            DefinitionError: Naming what is defined wrongly, and the remedy.
        """
        if not self.queues and not self.children:
            raise DefinitionError(
                f"app {self.name!r} has no actor, no handler and no child: it has nothing to run; what only"
                " sends, asks and reads is opened with open_client(app)"
            )
        for handler in self._handlers.values():
            for name in handler.needs:
                if name not in self._resources:
                    known = ", ".join(self._resources) or "none"
                    raise DefinitionError(
                        f"queue {handler.queue!r}: {handler.name} needs {name!r}, which is no resource of app"
                        f" {self.name!r} (it has: {known}); register it with @app.resource"
                    )

    def _add_actor(self, definition: ActorDefinition) -> None:
        self._check_free(definition.name, definition.cls.__qualname__)
        self.codec.add_actor(definition)
        self._actors[definition.name] = definition

    def _check_free(self, name: str, newcomer: str) -> None:
        for actor in self._actors.values():
            if name == actor.name:
                raise DefinitionError(
                    f"{name!r} is the name of actor {actor.cls.__qualname__} and of {newcomer}; rename one"
                )
        if name in self._handlers:
            raise DefinitionError(
                f"queue {name!r} is handled by {self._handlers[name].name} and {newcomer}; keep one"
            )
