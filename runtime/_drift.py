"""Drift: a class of events or commands that does not read what is stored under its name.

The store keeps the shape of each class under the app's name. A class whose shape
is another one at the next start was changed in place: what is stored may be read as
something else now, or not at all. If nothing is stored under that name and version, the
change harms nobody, and the new shape takes the old one's place.
A class with a new version and no upcasters reads older ones as they are, so their shapes must fit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias, final

from rolebook.actors import App, RolebookError, spec_of
from rolebook.actors.codec import Drift, Fingerprint, find_drift

from .contract import Store

_log = logging.getLogger("rolebook")

Strictness: TypeAlias = Literal["error", "warn"]


@final
class ClassDrift(RolebookError):
    """A class of stored events changed without a new version, or without the upcaster that it needs."""


async def check_drift(app: App, store: Store, strictness: Strictness) -> None:
    """Compare an app's classes with what the store knows of them, and let it know them from now on.

    Several processes may do so at the same time, of the same version of the app or of two.
    A command lives shortly and is read strictly, so that a changed one is worth a warning only; a
    snapshot carries its own shape.

    Raises:
        ClassDrift: A class of events has another shape than the stored events of its name and version, or
            none of the upcasters that those of an older version need.
    """
    current = [each for each in app.codec.fingerprints() if each.kind != "state"]
    stored = await store.shapes(app.name)
    drifted = [drift for drift in drifts(app, stored) if await store.holds(_place(drift), *_name(drift))]
    bad = {_name(drift) for drift in drifted}
    known = set(stored)
    await store.keep_shapes(
        app.name, [each for each in current if each not in known and (each.name, each.version) not in bad]
    )
    serious = [drift for drift in drifted if drift.current.kind == "event"]
    if serious and strictness == "error":
        raise ClassDrift("\n".join(explain(app, drift) for drift in serious))
    for drift in drifted:
        _log.warning("%s", explain(app, drift))


def drifts(app: App, stored: Sequence[Fingerprint]) -> list[Drift]:
    """Return what an app would read as something else, or not at all, if any of it is stored.

    Those are the classes that changed in place, and those with a new version that lack an upcaster.
    """
    return [*find_drift(stored, app.codec.fingerprints()), *app.codec.misread(stored)]


def explain(app: App, drift: Drift) -> str:
    """Say which class changed in which fields, and what to do."""
    now, old = drift.current, drift.stored
    if old.version != now.version:
        return (
            f"{now.kind} {now.name!r} version {now.version} ({_class_name(app, now)}) has no upcasters, and"
            f" there are stored ones of version {old.version}, which it cannot read as they are:"
            f" {'; '.join(drift.changes)}. Say how each older version becomes the next:"
            f" @{now.kind}({now.name!r}, version={now.version}, upcast={{{old.version}: ...}}); a field"
            " with a default needs none, and `dict` changes nothing"
        )
    new = now.version + 1
    return (
        f"{now.kind} {now.name!r} version {now.version} ({_class_name(app, now)}) was changed, and there are"
        f" stored ones of that version: {'; '.join(drift.changes) or 'its shape is another'}."
        f" Give the new shape a new version, and say how the old one becomes it:"
        f" @{now.kind}({now.name!r}, version={new}, upcast={{{now.version}: ...}})"
    )


def _place(drift: Drift) -> Literal["event", "command"]:
    return "event" if drift.current.kind == "event" else "command"


def _name(drift: Drift) -> tuple[str, int]:
    return drift.stored.name, drift.stored.version


def _class_name(app: App, fingerprint: Fingerprint) -> str:
    for cls in _classes(app):
        spec = spec_of(cls)
        if spec is not None and (spec.kind, spec.name) == (fingerprint.kind, fingerprint.name):
            return cls.__qualname__
    return "a class of the app"


def _classes(app: App) -> Iterator[type]:
    for actor in app.actors.values():
        yield from actor.appliers
        yield from actor.deciders
    for handler in app.handlers.values():
        yield from handler.commands
