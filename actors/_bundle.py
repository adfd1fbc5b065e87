"""A bundle: what one module adds to an app."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, final

from ._handler import OnFailure
from ._keys import check_name
from ._retry import Retry

if TYPE_CHECKING:
    from ._app import App

H = TypeVar("H", bound=Callable[..., Awaitable[object]])
F = TypeVar("F", bound=Callable[..., object])


@final
class Bundle:
    """Actors, queue handlers, routes, resources and children of one module; an app includes it.

    It has the decorators of an `App`. What is wrong with them is found when an app includes it.

    Args:
        name: The bundle's name, for errors.
        actors: Its classes of actors.
        messages: Further classes of events and commands.
        children: Further children of the supervision tree.

    Example:
        ```python
        orders = rb.Bundle("orders", actors=[Order])


        @orders.handler("invoices")
        async def invoice(command: Invoice, turn: rb.Turn) -> None: ...


        app = rb.App("shop")
        app.include(orders)
        ```
    """

    def __init__(
        self,
        name: str,
        actors: Iterable[type] = (),
        *,
        messages: Iterable[type] = (),
        children: Iterable[Any] = (),
    ) -> None:
        self.name: str = check_name(name, "bundle")
        self._actors = tuple(actors)
        self._messages = tuple(messages)
        self._children = tuple(children)
        self._steps: list[Callable[[App], object]] = []

    def handler(
        self,
        queue: str,
        *,
        concurrency: int = 8,
        retry: Retry | None = None,
        on_failure: OnFailure = "skip",
    ) -> Callable[[H], H]:
        """Register an async function as the handler of a queue, as `App.handler` does."""

        def register(function: H) -> H:
            self._steps.append(
                lambda app: app.handler(queue, concurrency=concurrency, retry=retry, on_failure=on_failure)(
                    function
                )
            )
            return function

        return register

    def route(self, function: F) -> F:
        """Register a function that turns an event into a command, as `App.route` does."""
        self._steps.append(lambda app: app.route(function))
        return function

    def resource(self, function: F) -> F:
        """Register a function that opens a resource, as `App.resource` does."""
        self._steps.append(lambda app: app.resource(function))
        return function

    def add_to(self, app: "App") -> None:
        """Add everything to an app; `App.include` calls it."""
        app.add(self._actors, self._messages, self._children)
        for step in self._steps:
            step(app)


__all__ = ["Bundle"]
