"""The default tree of a runtime, as a value.

bank (one_for_one)
├── writer                      first, so that it stops last: what was finished is still committed
├── session (one_for_all)       both connections live and die together
│   ├── listener
│   ├── fetcher
│   └── queues (one_for_one)
│       ├── account
│       └── mail
├── schedules (one_for_one)
│   └── scheduler
└── the app's own children
"""

from __future__ import annotations

from functools import partial
from typing import Any

from understudy.actors import App, Child, Supervisor

from ._parts import Parts
from ._settings import Settings


def configured_tree(app: App, settings: Settings | None = None) -> Supervisor:
    """Return the tree that a runtime of this app would start, to look at it; it cannot be run."""
    nothing: Any = None  # nothing is started, so nothing asks the store
    return default_tree(Parts(app, nothing, settings or Settings(), app.name))


def default_tree(parts: Parts) -> Supervisor:
    """Return the tree of a runtime: its system actors, then the app's own children."""
    settings = parts.settings
    handlers = [
        *(
            Child(name, partial(parts.run_actors, name), shutdown=settings.shutdown)
            for name in parts.app.actors
        ),
        *(
            Child(name, partial(parts.run_queue, name), shutdown=settings.shutdown)
            for name in parts.app.handlers
        ),
    ]
    session = Supervisor(
        "session",
        (
            Child("listener", parts.listener.run, start_timeout=None),
            Child("fetcher", parts.fetcher.run, start_timeout=None),
            Supervisor("queues", tuple(handlers), strategy="one_for_one", max_restarts=10, within=60.0),
        ),
        strategy="one_for_all",
        max_restarts=None,  # a database that is down comes back some time
        backoff=settings.backoff,
    )
    schedules = Supervisor(
        "schedules",
        (Child("scheduler", parts.scheduler.run),),
        max_restarts=None,
        backoff=settings.backoff,
    )
    writer = Child("writer", parts.writer.run, shutdown=settings.shutdown)
    return Supervisor(
        parts.app.name,
        # A writer that fails does so for a reason that a restart does not mend.
        (writer, session, schedules, *parts.app.children),
        strategy="one_for_one",
        max_restarts=3,
        within=5.0,
    )
