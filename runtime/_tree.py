"""The tree of a runtime, as a value: the default one, and one that the user arranged otherwise.

The default tree:

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

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from rolebook.actors import App, Child, InvalidSetting, Supervisor
from rolebook.actors.supervision import load_configuration

from ._assembly import Assembly
from ._roles import Role
from ._settings import Settings
from .contract import Ending

Arrangement: TypeAlias = Path | Callable[[Supervisor], Supervisor]
"""A TOML file, or a function from the default tree to the wanted one."""

SESSION = ("listener", "fetcher")
"""The parts that live and die together, with every queue."""


def default_tree(assembly: Assembly, known: Mapping[str, Child]) -> Supervisor:
    """Return the tree of a runtime: its system actors, then the app's own children."""
    settings = assembly.settings
    session = Supervisor(
        "session",
        (
            known["listener"],
            known["fetcher"],
            Supervisor(
                "queues",
                tuple(known[f"queue.{name}"] for name in assembly.role.queues),
                strategy="one_for_one",
                max_restarts=10,
                within=60.0,
            ),
        ),
        strategy="one_for_all",
        max_restarts=None,  # a database that is down comes back some time
        backoff=settings.backoff,
    )
    schedules = Supervisor("schedules", (known["scheduler"],), max_restarts=None, backoff=settings.backoff)
    return Supervisor(
        assembly.app.name,
        # A writer that fails does so for a reason that a restart does not mend.
        (known["writer"], session, schedules, *assembly.role.children),
        strategy="one_for_one",
        max_restarts=3,
        within=5.0,
    )


def startable(assembly: Assembly) -> dict[str, Child]:
    """Return what a tree of this runtime may hold, by the name that a TOML file gives in `start`.

    The parts of the runtime have one name each, `queue.` before it for a handler.
    A child of the app goes by its own name.
    """
    shutdown, fetcher, rest = assembly.settings.shutdown, assembly.fetcher, assembly.ending.rest
    runs = {
        name: partial(assembly.run_actors if name in assembly.app.actors else assembly.run_queue, name)
        for name in assembly.role.queues
    }
    part = partial(Child, teller=assembly.outages)  # all fail when the database does: that is one story
    queues = [
        part(
            name,
            run,
            shutdown=shutdown,
            mailbox=partial(fetcher.mailbox, name),
            note=partial(assembly.note_of, name),
            reserve=rest / 3,
        )
        for name, run in runs.items()
    ]
    found = {
        "listener": part("listener", assembly.listener.run, start_timeout=None),
        "fetcher": part(
            "fetcher",
            fetcher.run,
            shutdown=shutdown,
            start_timeout=None,
            note=fetcher.note,
            reserve=rest * 2 / 3,
        ),
        "writer": part(
            "writer",
            assembly.writer.run,
            shutdown=shutdown,
            mailbox=assembly.writer.inbox.statistics,
            reserve=rest,
        ),
        "scheduler": part("scheduler", assembly.scheduler.run, start_timeout=None),
        **{f"queue.{child.name}": child for child in queues},
    }
    for child in assembly.role.children:
        if isinstance(child, Child):
            if child.name in found:
                problem = (
                    f"child {child.name!r} of app {assembly.app.name!r} has the name of a part of the runtime"
                )
                raise InvalidSetting("children", problem, "rename it")
            found[child.name] = child
    return found


def arranged_tree(assembly: Assembly, arrangement: Arrangement | None) -> Supervisor:
    """Return the tree to start: the default one, or the user's, checked.

    Raises:
        InvalidFile: The file has mistakes; all are named.
        InvalidSetting: The tree lacks a part, has one twice, or has them in an order that cannot work.
    """
    known = startable(assembly)
    tree = default_tree(assembly, known)
    if isinstance(arrangement, Path):
        tree = load_configuration(arrangement, known, Settings).tree or tree
    elif arrangement is not None:
        tree = arrangement(tree)
    check_tree(tree, known, assembly.role)
    return tree


def client_tree(assembly: Assembly) -> Supervisor:
    """Return the tree of a client: what commits, and what hears of replies."""
    known = startable(assembly)
    backoff = assembly.settings.backoff
    session = Supervisor("session", (known["listener"],), max_restarts=None, backoff=backoff)
    return Supervisor(assembly.app.name, (known["writer"], session))


def settings_of(
    app: App, settings: Settings, arrangement: Arrangement | None, role: Role | None = None
) -> Settings:
    """Return the settings with those of the `[runtime]` table of a TOML file put over them.

    Raises:
        InvalidFile: The file has mistakes; all are named.
    """
    if not isinstance(arrangement, Path):
        return settings
    known = startable(_unstarted(app, settings, role))
    found = load_configuration(arrangement, known, Settings)
    return attrs.evolve(settings, **{name: getattr(found.runtime, name) for name in found.given})


def configured_tree(
    app: App, settings: Settings | None = None, arrangement: Arrangement | None = None
) -> Supervisor:
    """Return the tree that a runtime of this app would start, to look at it; it cannot be run."""
    chosen = settings_of(app, settings or Settings(), arrangement)
    return arranged_tree(_unstarted(app, chosen), arrangement)


def _unstarted(app: App, settings: Settings, role: Role | None = None) -> Assembly:
    nothing: Any = None  # nothing is started, so nothing asks the store
    ending = Ending(settings.shutdown)
    return Assembly(app, nothing, settings, app.name, role or Role.of(app, None), ending)


def check_tree(tree: Supervisor, known: dict[str, Child], role: Role) -> None:
    """Refuse a tree in which a runtime cannot work.

    Raises:
        InvalidSetting: A part is missing, is there twice, or has the wrong neighbours.
    """
    parts = {child.start: name for name, child in known.items()}
    places = [(name, path) for child, path in _leaves(tree, ()) if (name := parts.get(child.start))]
    order = [name for name, _ in places]
    required = ["writer", *SESSION, "scheduler", *(f"queue.{name}" for name in role.queues)]
    for name in required:
        if order.count(name) != 1:
            problem = f"{name!r} is there {order.count(name)} times"
            raise InvalidSetting("children", problem, f"give it one place in the tree: start = {name!r}")
    if order.index("writer") > order.index("fetcher"):
        problem = (
            "'writer' starts after 'fetcher', so it would stop first and leave finished turns uncommitted"
        )
        raise InvalidSetting("children", problem, "put it before the session")
    session = [path for name, path in places if name in SESSION or name.startswith("queue.")]
    if not any(above.strategy == "one_for_all" for above in _shared(session)):
        problem = "listener, fetcher and queues are not under one supervisor with strategy 'one_for_all'"
        raise InvalidSetting("children", problem, "a broken connection must end them together")
    if any(order.index("fetcher") > order.index(f"queue.{name}") for name in role.queues):
        raise InvalidSetting("children", "a queue starts before 'fetcher'", "put the queues after it")


def _leaves(
    supervisor: Supervisor, above: tuple[Supervisor, ...]
) -> Iterator[tuple[Child, tuple[Supervisor, ...]]]:
    """Give every child with the supervisors above it, in the order of start."""
    path = (*above, supervisor)
    for child in supervisor.children:
        if isinstance(child, Supervisor):
            yield from _leaves(child, path)
        else:
            yield child, path


def _shared(paths: list[tuple[Supervisor, ...]]) -> list[Supervisor]:
    """Return the supervisors that stand above all."""
    return [level[0] for level in zip(*paths, strict=False) if all(each is level[0] for each in level)]
