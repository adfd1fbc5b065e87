"""Partitions move between processes that are at work: keys go on in order, and only those that move wait."""

from functools import partial

import pytest
import trio
from attrs import define, field, frozen

import rolebook as rb
from rolebook.actors import draw
from rolebook.runtime import Runtime, Settings
from rolebook.runtime.contract import Member, Store, partition_of_key, share
from tests.waiting import eventually

QUICK = Settings(take_interval=0.2, poll_interval=1.0)
KEYS = [f"k{number}" for number in range(24)]


@rb.event("hand.noted")
@frozen
class Noted:
    number: int


@rb.command("hand.note")
@frozen
class Note(rb.Command[int]):
    number: int


@rb.actor("book")
@define
class Book:
    numbers: list[int] = field(factory=list[int])

    @rb.decide
    def note(self, command: Note) -> rb.Effects[int]:
        yield Noted(command.number)
        return len(self.numbers)

    @rb.apply
    def noted(self, event: Noted) -> None:
        self.numbers.append(event.number)


APP = rb.App("books", actors=[Book])


@define(eq=False)
class Desk:
    """A queue whose handler can be held up."""

    begun: list[int] = field(factory=list[int])
    go_on: trio.Event = field(factory=trio.Event)
    holds: bool = True

    def app(self) -> rb.App:
        app = rb.App("desk")

        @app.handler("notes")
        async def note(command: Note) -> None:
            self.begun.append(command.number)
            if self.holds and command.number == 0:
                await self.go_on.wait()

        return app


def has_half_and_works(runtime: Runtime, store: Store) -> bool:
    return owned(runtime, "book") == store.partitions // 2 and runtime.statistics().turns > 20


def owned(runtime: Runtime, queue: str) -> int:
    return runtime.statistics().mailbox.owned.get(queue, 0)


def leaving(runtime: Runtime, queue: str) -> int:
    return runtime.statistics().mailbox.leaving.get(queue, 0)


async def test_streams_go_on_while_processes_join_and_leave(store: Store) -> None:
    """Numbered streams by tell, and asks in between: each number once, in order, whoever handles it."""
    async with rb.open_runtime(APP, database=store, settings=QUICK, process="one") as one:
        sent = dict.fromkeys(KEYS, 0)
        done = trio.Event()

        async def stream(key: str) -> None:
            while not done.is_set():
                sent[key] += 2
                await one.tell(Book, key, Note(sent[key] - 1))
                assert await one.ask(Book, key, Note(sent[key])) == sent[key]

        async with trio.open_nursery() as nursery:
            for key in KEYS:
                nursery.start_soon(stream, key)
            for _ in range(3):
                async with rb.open_runtime(APP, database=store, settings=QUICK, process="two") as two:
                    await eventually(partial(has_half_and_works, two, store))
                await eventually(lambda: owned(one, "book") == store.partitions)
            done.set()
        await one.wait_idle()
        for key, book in (await one.read_many(Book, KEYS)).items():
            assert book.numbers == list(range(1, sent[key] + 1))


def key_that_moves(store: Store) -> str:
    """A key of a partition that a process which joins is given: of those from the middle on."""
    half = store.partitions // 2
    return next(key for key in KEYS if partition_of_key(key, store.partitions) >= half)


async def test_a_long_turn_holds_only_its_partition(store: Store) -> None:
    """The rest of the share has moved before it ends; what waits behind it is handled by the new owner."""
    desk, half = Desk(), store.partitions // 2
    app = desk.app()
    async with rb.open_runtime(app, database=store, settings=QUICK, process="one") as one:
        await one.enqueue("notes", Note(0), key=key_that_moves(store))
        await one.enqueue("notes", Note(1), key=key_that_moves(store))
        await eventually(lambda: desk.begun == [0])
        async with rb.open_runtime(app, database=store, settings=QUICK, process="two") as two:
            await eventually(lambda: owned(two, "notes") == half - 1)
            assert leaving(one, "notes") == 1
            assert desk.begun == [0]
            drawn = draw(one.tree.snapshot())
            assert f"owns {half} of {store.partitions} partitions, gives back 1" in drawn
            assert "members one, two; " in drawn
            desk.go_on.set()
            await eventually(lambda: owned(two, "notes") == half)
            await two.wait_idle()
            assert two.statistics().mailbox.messages == 1
    assert desk.begun == [0, 1]


async def test_what_ends_gives_back_while_it_drains(store: Store) -> None:
    """A process that waits for its last turn keeps nobody from the partitions it has done with."""
    desk, half = Desk(), store.partitions // 2
    app = desk.app()
    stop = trio.Event()

    async def run(*, task_status: trio.TaskStatus[Runtime]) -> None:
        async with rb.open_runtime(app, database=store, settings=QUICK, process="one") as runtime:
            task_status.started(runtime)
            await stop.wait()

    async with (
        rb.open_runtime(app, database=store, settings=QUICK, process="two") as two,
        trio.open_nursery() as nursery,
    ):
        one: Runtime = await nursery.start(run)
        await eventually(lambda: owned(one, "notes") == half)
        await two.enqueue("notes", Note(0), key=key_that_moves(store))
        await eventually(lambda: desk.begun == [0])
        stop.set()
        await eventually(lambda: owned(two, "notes") == store.partitions - 1)
        desk.go_on.set()
        await eventually(lambda: owned(two, "notes") == store.partitions)
    assert desk.begun == [0]


@pytest.mark.parametrize("stays", ["one", "two"])
async def test_shares_follow_who_is_there(store: Store, stays: str) -> None:
    """Each has its share within a second or two, and all of it belongs to who is left."""
    stops = {name: trio.Event() for name in ("one", "two", "three")}
    runtimes: dict[str, Runtime] = {}

    async def run(name: str, *, task_status: trio.TaskStatus[None]) -> None:
        async with rb.open_runtime(APP, database=store, settings=QUICK, process=name) as runtimes[name]:
            task_status.started()
            await stops[name].wait()

    async with trio.open_nursery() as nursery:
        for name in stops:
            await nursery.start(run, name)
        everything = store.partitions
        members = [Member(life, "", frozenset({"book"})) for life in range(3)]
        wanted = sorted(share(everything, members, "book", life) for life in range(3))
        await eventually(lambda: sorted(owned(each, "book") for each in runtimes.values()) == wanted)
        moved = sum(each.statistics().mailbox.moves for each in runtimes.values())
        for name, stop in stops.items():
            if name != stays:
                stop.set()
        await eventually(lambda: owned(runtimes[stays], "book") == everything)
        assert moved <= 3 * everything
        stops[stays].set()
