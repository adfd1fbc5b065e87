"""A class that was changed under its stored name and version is found at the start."""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any

import pytest
import trio
from attrs import define, evolve, frozen, make_class
from attrs import field as attrs_field

import rolebook as rb
from rolebook.actors.codec._changes import fields_of
from rolebook.runtime import ClassDrift
from rolebook.runtime._drift import explain
from rolebook.runtime.cli._check import drifted
from rolebook.runtime.contract import Store

SETTINGS = rb.Settings(partitions=4, poll_interval=0.2, pool_size=2)


@frozen
class Made:
    """An app, and a command for its actor."""

    app: rb.App
    command: Any


def shop(
    event: dict[str, Any], command: dict[str, Any] | None = None, version: int = 1, name: str = "shop"
) -> Made:
    """An app whose event and command have these fields."""
    options: dict[str, Any] = {} if version == 1 else {"version": version, "upcast": {1: dict}}
    fields: Any = {name: attrs_field(type=kind) for name, kind in event.items()}
    decorate: Any = rb.event("shop.sold", **options)
    sold = decorate(make_class("Sold", fields, frozen=True))
    fields = {name: attrs_field(type=kind) for name, kind in (command or {"number": int}).items()}
    decorate = rb.command("shop.sell")
    sell = decorate(make_class("Sell", fields, frozen=True))

    @rb.actor("shop")
    @define
    class Shop:
        @rb.decide
        def decide(self, command: Any) -> rb.Effects[None]:
            yield sold(**{name: kind(1) for name, kind in event.items()})

        @rb.apply
        def apply(self, event: Any) -> None: ...

    # Annotations are read when an app is built; these classes are made as the test wants them.
    Shop.decide.__annotations__["command"] = sell
    Shop.apply.__annotations__["event"] = sold
    values = {name: kind(1) for name, kind in (command or {"number": int}).items()}
    return Made(rb.App(name, actors=[Shop]), sell(**values))


async def start(store: Store, made: Made, *, sells: bool = False, **changes: Any) -> None:
    settings = evolve(SETTINGS, **changes)
    async with rb.open_runtime(made.app, database=store, settings=settings) as runtime:
        if sells:
            await runtime.tell("shop", "a", made.command)
            await runtime.wait_idle()


async def test_a_changed_event_stops_the_start(store: Store) -> None:
    """The error names the event, its class, each field that changed, and the remedy."""
    await start(store, shop({"price": int, "by": str}), sells=True)
    with pytest.raises(ClassDrift) as caught:
        await start(store, shop({"price": float, "to": str}))
    text = str(caught.value)
    assert "event 'shop.sold' version 1 (Sold) was changed" in text
    assert "field 'price' was int and is float" in text
    assert "field 'by' (str) is gone" in text
    assert "field 'to' (str) is new" in text
    assert "@event('shop.sold', version=2, upcast={1: ...})" in text
    await start(store, shop({"price": int, "by": str}))
    await start(store, shop({"price": float}, version=2), sells=True)
    await start(store, shop({"price": int, "by": str}))  # the version before, in a rolling deployment


async def test_members_that_changed_places_stop_the_start(store: Store) -> None:
    """The error names the member; a new member beside the others is no change."""

    def status(**members: int) -> Any:
        kind: Any = Enum
        return kind("Status", members)

    await start(store, shop({"to": status(SHIPPED=1, CANCELLED=2)}), sells=True)
    with pytest.raises(ClassDrift, match=r"in field 'to', .*member SHIPPED was 1 and is 2"):
        await start(store, shop({"to": status(CANCELLED=1, SHIPPED=2)}))
    await start(store, shop({"to": status(SHIPPED=1, CANCELLED=2, LOST=3)}))
    with pytest.raises(ClassDrift, match=r"in field 'to', member LOST \(3\) is gone"):
        await start(store, shop({"to": status(SHIPPED=1, CANCELLED=2)}))


async def test_a_warning_will_do(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """With "warn" it is said at each start, and the app starts."""
    await start(store, shop({"price": int}), sells=True)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            await start(store, shop({"price": str}), drift="warn")
        assert "field 'price' was int and is str" in caplog.text


async def test_what_is_not_stored_may_change(store: Store) -> None:
    """A class of which nothing is stored may change as it likes, and is known by its new shape then."""
    await start(store, shop({"price": int}))
    await start(store, shop({"price": float}), sells=True)
    with pytest.raises(ClassDrift, match="was float and is int"):
        await start(store, shop({"price": int}))


async def test_a_changed_command_is_worth_a_warning(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Commands that wait are read strictly, so a changed class is said and not refused."""
    made = shop({"price": int})
    async with rb.open_runtime(made.app, database=store, settings=SETTINGS) as runtime:
        await runtime.tell("shop", "a", made.command, delay=1000)
    with caplog.at_level(logging.WARNING):
        await start(store, shop({"price": int}, {"number": int, "note": str}))
    assert "command 'shop.sell' version 1 (Sell) was changed" in caplog.text
    assert "field 'note' (str) is new" in caplog.text


async def test_apps_do_not_disturb_each_other(store: Store) -> None:
    """Shapes are kept under the app's name: each has its own, and the same change in one app is an error."""
    await start(store, shop({"price": int}), sells=True)
    await start(store, shop({"price": float}, name="other"))
    await start(store, shop({"price": int}))
    with pytest.raises(ClassDrift, match="was float and is int"):
        await start(store, shop({"price": int}, name="other"))


def grown(
    version: int, kind: type = int, *, default: bool = True, name: str = "shop", **options: Any
) -> Made:
    """An app whose event has one more field in version 2, in the simplest way."""
    sold: Any = {"price": attrs_field(type=kind)}
    if version > 1:
        sold["by"] = attrs_field(type=str, default="nobody") if default else attrs_field(type=str)
    decorate: Any = rb.event("shop.sold", version=version, **options)
    event = decorate(make_class("Sold", sold, frozen=True))
    decorate = rb.command("shop.sell")
    sell = decorate(
        make_class("Sell", {"number": attrs_field(type=int)}, bases=(rb.Command[int],), frozen=True)
    )

    @rb.actor("shop")
    @define
    class Shop:
        events: int = 0

        @rb.decide
        def decide(self, command: Any) -> rb.Effects[int]:
            yield event(kind(1), *([] if default or version == 1 else ["me"]))
            return self.events

        @rb.apply
        def apply(self, event: Any) -> None:
            self.events += 1

    Shop.decide.__annotations__["command"] = sell
    Shop.apply.__annotations__["event"] = event
    return Made(rb.App(name, actors=[Shop]), sell(1))


async def asked(store: Store, made: Made) -> Any:
    """Start, and have the actor decide once more."""
    async with rb.open_runtime(made.app, database=store, settings=SETTINGS) as runtime:
        with trio.fail_after(20):
            return await runtime.ask("shop", "a", made.command)


async def test_a_new_field_with_a_default_needs_no_upcaster(store: Store) -> None:
    """Only the version is raised, and every actor of before goes on."""
    assert await asked(store, grown(1)) == 1
    assert await asked(store, grown(2)) == 2


async def test_a_new_version_that_cannot_read_the_old_one_stops_the_start(store: Store) -> None:
    """Every actor of before would be broken; the error names what does not fit, and the remedy."""
    await asked(store, grown(1))
    with pytest.raises(ClassDrift) as caught:
        await start(store, grown(2, default=False))
    text = str(caught.value)
    assert "event 'shop.sold' version 2 (Sold) has no upcasters" in text
    assert "stored ones of version 1, which it cannot read as they are: field 'by' (str) is new" in text
    assert "@event('shop.sold', version=2, upcast={1: ...})" in text
    with pytest.raises(ClassDrift, match="field 'price' was int and is float"):
        await start(store, grown(2, float))
    assert await asked(store, grown(2, float, upcast={1: dict})) == 2


async def test_an_app_that_cannot_read_what_another_one_wrote(store: Store) -> None:
    """Of an app of another name nothing is known at the start: the actor is broken here, and whole there.

    Of an app of the same name it is known: see `test_versions`.
    """
    assert await asked(store, grown(1)) == 1
    assert await asked(store, grown(2, name="other")) == 2
    with pytest.raises(rb.RolebookError, match="this app reads version 1 of it; deploy a newer app"):
        await asked(store, grown(1))
    assert await asked(store, grown(2, name="other")) == 3


async def test_what_is_not_stored_needs_no_upcaster(store: Store) -> None:
    """A version that nothing was stored of cannot be misread."""
    await start(store, grown(1))
    assert await asked(store, grown(2, default=False)) == 1


def test_the_check_before_a_deployment_finds_a_missing_upcaster() -> None:
    """As the start does."""
    stored = {"kind": "event", "name": "shop.sold", "version": 1}
    kept = {"app": "shop", **stored, "shape": "{price: int}"}
    (drift,) = drifted(grown(2, default=False).app, [stored], [kept])
    assert "field 'by' (str) is new" in explain(grown(2).app, drift)
    assert drifted(grown(2).app, [stored], [kept]) == []


def test_the_fields_of_a_shape() -> None:
    """Nested brackets belong to their field."""
    shape = "{a: dict[str, int], b?: tuple(int, {c: int}), d: literal('x'|'y'), e: literal('},\\'')}"
    assert fields_of(shape) == {
        "a": "dict[str, int]",
        "b": "tuple(int, {c: int}), optional",
        "d": "literal('x'|'y')",
        "e": "literal('},\\'')",
    }
    assert fields_of("{}") == {}


def test_settings_name_what_they_take() -> None:
    """Anything but "error" and "warn" is refused."""
    with pytest.raises(rb.RolebookError, match="drift"):
        rb.Settings(drift="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # on purpose


def test_the_check_before_a_deployment_finds_it_too() -> None:
    """`rolebook check` compares the app with the kept shapes, for what is stored only."""
    made, stored = shop({"price": int}), {"kind": "event", "name": "shop.sold", "version": 1}
    kept = {"app": "shop", **stored, "shape": "{price: float}"}
    (drift,) = drifted(made.app, [stored], [kept])
    assert "field 'price' was float and is int" in explain(made.app, drift)
    assert drifted(made.app, [], [kept]) == []
    assert drifted(made.app, [stored], [{**kept, "shape": drift.current.shape}]) == []
    assert drifted(made.app, [stored], [{**kept, "app": "other"}]) == []
