"""Snapshots in a running runtime: when they are taken, and that they can only cost time."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from attrs import Factory, define, frozen

import rolebook as rb
from rolebook.runtime.contract import Committed, KeepSnapshot, Store, StoredSnapshot
from tests.stores import finished

SETTINGS = rb.Settings(partitions=4, poll_interval=0.2, pool_size=2, check_purity=True)


@rb.event("tank.filled")
@frozen
class Filled:
    amount: int


@rb.command("tank.fill")
@frozen
class Fill(rb.Command[int]):
    amount: int
    stops: bool = False


def tank(*, bad: bool = False, parts: int = 0, **options: Any) -> rb.App:
    """An app with one kind of actor, whose snapshots are as the options say; bad states cannot be stored.

    With `parts` its applier relies on that many parts, which an actor has from the beginning.
    """

    @rb.actor("tank", **options)
    @define
    class Tank:
        content: int = 0
        label: str = ""
        parts: list[int] = Factory(lambda: [0] * parts)

        @rb.decide
        def fill(self, command: Fill) -> rb.Effects[int]:
            yield Filled(command.amount)
            if command.stops:
                yield rb.Stop()
            return self.content

        @rb.apply
        def filled(self, event: Filled) -> None:
            self.content += event.amount
            self.parts.append(event.amount)
            self.parts[parts] += 0
            if bad:
                self.label = "\ud800"  # half a character: no database takes it

    return rb.App("app", actors=[Tank])


async def newest(store: Store, version: int = 1) -> StoredSnapshot | None:
    return (await store.load("tank", version, {"a": None}, 1))["a"].snapshot


async def test_every_so_many_events(store: Store) -> None:
    """A snapshot follows every third event, and only as many are kept as was said."""
    seqs: list[int] = []
    async with rb.open_runtime(tank(snapshot_every=3), database=store, settings=SETTINGS) as runtime:
        for _ in range(10):
            await runtime.ask("tank", "a", Fill(1))
            found = await newest(store)
            seqs.append(0 if found is None else found.seq)
        assert seqs == [0, 0, 3, 3, 3, 6, 6, 6, 9, 9]
        assert await runtime.ask("tank", "a", Fill(1, stops=True)) == 11
        assert await runtime.ask("tank", "a", Fill(1)) == 12


async def test_by_a_predicate(store: Store) -> None:
    """The predicate sees the state and the turn's last event."""

    def when(state: Any, event: Any) -> bool:
        return bool(event.amount > 10 and state.content > 10)

    seqs: list[int] = []
    async with rb.open_runtime(tank(snapshot_when=when), database=store, settings=SETTINGS) as runtime:
        for amount in (1, 11, 1, 12):
            await runtime.ask("tank", "a", Fill(amount))
            found = await newest(store)
            seqs.append(0 if found is None else found.seq)
    assert seqs == [0, 2, 2, 4]


@pytest.mark.parametrize("trouble", ["state", "predicate"])
async def test_a_snapshot_that_cannot_be_taken_harms_nobody(
    store: Store, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The turn succeeds without it; it is said once, with the reason."""

    def raises(_state: Any, _event: Any) -> bool:
        raise RuntimeError("the predicate is broken")

    app = tank(bad=True, snapshot_every=1) if trouble == "state" else tank(snapshot_when=raises)
    with caplog.at_level(logging.WARNING, "rolebook.handler"):
        async with rb.open_runtime(app, database=store, settings=SETTINGS) as runtime:
            assert [await runtime.ask("tank", "a", Fill(1)) for _ in range(3)] == [1, 2, 3]
    assert await newest(store) is None
    (record,) = [each for each in caplog.records if "no snapshot at event 1" in each.getMessage()]
    assert ("the predicate is broken" if trouble == "predicate" else "Unencodable") in record.getMessage()


async def test_an_older_version_is_upcast_or_passed_over(store: Store) -> None:
    """With a way to today's version a snapshot is used; without one the events are replayed."""
    async with rb.open_runtime(tank(snapshot_every=2), database=store, settings=SETTINGS) as runtime:
        for _ in range(5):
            await runtime.ask("tank", "a", Fill(1))
    upcasts: list[dict[str, Any]] = []

    def upcast(old: dict[str, Any]) -> dict[str, Any]:
        upcasts.append(old)
        return {**old, "label": "upcast"}

    second = tank(state_version=2, state_upcast={1: upcast})
    async with rb.open_runtime(second, database=store, settings=SETTINGS) as runtime:
        assert await runtime.ask("tank", "a", Fill(1)) == 6
    third = tank(state_version=3)
    async with rb.open_runtime(third, database=store, settings=SETTINGS) as runtime:
        assert await runtime.ask("tank", "a", Fill(1)) == 7
    with_snapshots = tank(state_version=2, state_upcast={1: upcast}, snapshot_every=100)
    async with rb.open_runtime(with_snapshots, database=store, settings=SETTINGS) as runtime:
        assert await runtime.ask("tank", "a", Fill(1)) == 8
    assert [old["content"] for old in upcasts][-1] == 4


@pytest.mark.parametrize(
    "snapshot",
    [
        StoredSnapshot(4, 1, '{"nonsense":true}'),
        StoredSnapshot(4, 1, "[]"),
        StoredSnapshot(4, 1, '{"shape":"0","state":{"content":77,"label":"","parts":[]}}'),
        StoredSnapshot(40, 1, '{"shape":"0","state":{"content":77,"label":"","parts":[]}}'),
        StoredSnapshot(4, 9, '{"shape":"0","state":{"content":77,"label":"","parts":[]}}'),
    ],
)
async def test_a_wrong_snapshot_costs_a_replay(store: Store, snapshot: StoredSnapshot) -> None:
    """One that is no state, of another shape, ahead of the journal or from the future is passed over."""
    app = tank(snapshot_every=3)
    async with rb.open_runtime(app, database=store, settings=SETTINGS) as runtime:
        for _ in range(5):
            await runtime.ask("tank", "a", Fill(1))
    part = KeepSnapshot("tank", "a", snapshot.seq, snapshot.version, snapshot.state, keep=1)
    async with store.open_write_session() as session:
        assert await session.commit([finished(parts=[part])], [], None) == Committed()
    async with rb.open_runtime(app, database=store, settings=SETTINGS) as runtime:
        assert await runtime.ask("tank", "a", Fill(1)) == 6


async def test_a_snapshot_that_todays_applier_cannot_go_on_from_costs_a_replay(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """An `@apply` changed its meaning and nobody raised `state_version`: the events decide, not the cache."""
    async with rb.open_runtime(tank(snapshot_every=3), database=store, settings=SETTINGS) as runtime:
        for _ in range(4):
            await runtime.ask("tank", "a", Fill(1))
    changed = tank(parts=9, snapshot_every=100)
    with caplog.at_level(logging.WARNING, "rolebook.recovery"):
        async with rb.open_runtime(changed, database=store, settings=SETTINGS) as runtime:
            assert await runtime.ask("tank", "a", Fill(1)) == 5
            kind: Any = changed.actors["tank"].cls
            assert (await runtime.read(kind, "a")).parts == [0] * 9 + [1] * 5
    assert "snapshot of tank/a at event 3 passed over" in caplog.text
    assert "IndexError" in caplog.text
