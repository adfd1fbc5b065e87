"""Opens the resources of an app for the length of its runtime."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, final

import trio

from rolebook.actors import App, RolebookError

from ._roles import Role
from .contract import Ending

_log = logging.getLogger("rolebook")


@final
class ResourceFailed(RolebookError):
    """A resource could not be opened; its cause is what its function raised."""


@asynccontextmanager
async def open_resources(app: App, role: Role, ending: Ending) -> AsyncGenerator[Mapping[str, Any]]:
    """Open what a role needs, in the order of registration; close it in the reverse order.

    Closing is cancelled when the runtime is to be over; a moment is left for it whoever was late before.

    Raises:
        ResourceFailed: One could not be opened; those before it are closed.
    """
    opened: dict[str, Any] = {}
    with trio.CancelScope() as closing:
        async with AsyncExitStack() as stack:
            for name in role.needs(app):
                try:
                    opened[name] = await stack.enter_async_context(app.resources[name]())
                except Exception as error:
                    raise ResourceFailed(
                        f"resource {name!r} of app {app.name!r} cannot be opened: {error}"
                    ) from error
                _log.debug("resource %r is open", name)
            yield opened
            # Not if the block failed: a cancellation would take the place of its error.
            closing.deadline = max(ending.over_at, trio.current_time() + ending.rest)
    if closing.cancelled_caught:
        _log.warning("the resources of app %r were not closed within its shutdown: cancelled", app.name)
