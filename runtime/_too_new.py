"""What a newer version of the app has stored: an older process leaves it to others."""

from __future__ import annotations

from collections.abc import Collection

from rolebook.actors import App, spec_of

from .contract import Store


async def too_new(app: App, store: Store, queues: Collection[str]) -> dict[str, str]:
    """Return those of some queues whose actors have events that this app is too old to read, and which.

    The store knows the shapes of every version of the app that has run; what is stored is looked at only for
    a version that is newer than this app's.
    """
    newest: dict[str, int] = {}
    for shape in await store.shapes(app.name):
        if shape.kind == "event":
            newest[shape.name] = max(shape.version, newest.get(shape.name, 0))
    found: dict[str, str] = {}
    for queue in queues:
        for cls in app.actors[queue].appliers if queue in app.actors else ():
            spec = spec_of(cls)
            if spec is None:
                continue
            for version in range(spec.version + 1, newest.get(spec.name, 0) + 1):
                if await store.holds("event", spec.name, version):
                    reads = f"this app reads version {spec.version}"
                    found[queue] = f"event {spec.name!r} is stored in version {version}, and {reads}"
    return found
