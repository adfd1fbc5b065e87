"""What one can see of a running tree, and do to it."""

import gc
import weakref
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from rolebook.actors import Backoff, Child, Supervisor, open_supervisor
from rolebook.actors.supervision import (
    ChildCrashed,
    ChildDown,
    ChildFinished,
    ChildParked,
    ChildRestarted,
    ChildStarted,
    ChildStopped,
    MailboxStatistics,
    NotSupervising,
    RestartScheduled,
    SupervisionEvent,
    Tree,
    UnknownChild,
)

from .cast import AT_ONCE, Boom, Diary, forever, raises, returns


async def test_a_snapshot_tells_it_all(autojump_clock: MockClock) -> None:
    """States, incarnations, restarts, uptimes and the last error, at every depth."""
    diary = Diary()
    inner = Supervisor("inner", (diary.child("a", 2),), backoff=AT_ONCE, strategy="one_for_all")
    async with open_supervisor(Supervisor("s", (inner, Child("b", forever)))) as tree:
        await trio.sleep(5)
        snapshot = tree.snapshot()
    assert ("s", "one_for_one", "running", 5) == (
        snapshot.name,
        snapshot.kind,
        snapshot.state,
        snapshot.uptime,
    )
    a = snapshot["inner/a"]
    assert ("s/inner/a", "child", "running", 2, 1, 3, "Boom: a") == (
        a.path,
        a.kind,
        a.state,
        a.incarnation,
        a.restarts,
        a.uptime,
        a.last_error,
    )
    assert (5, None) == (snapshot["b"].uptime, snapshot["b"].last_error)
    with pytest.raises(KeyError):
        snapshot["inner/c"]


async def test_a_branch_that_is_down_is_shown_down(autojump_clock: MockClock) -> None:
    """Its children are shown from its value."""
    inner = Supervisor("inner", (Supervisor("below", (Child("a", forever),)),))
    async with open_supervisor(Supervisor("s", (inner,))) as tree:
        await tree.stop("inner")
        below = tree.snapshot()["inner/below"]
        assert ("stopped", "stopped") == (below.state, below["a"].state)
        with pytest.raises(NotSupervising, match="'s/inner' is not running"):
            await tree.stop("inner/below")
        await tree.start("inner")
        assert "running" == tree.snapshot()["inner/below/a"].state


async def test_a_mailbox_is_shown_with_its_peak(autojump_clock: MockClock) -> None:
    """From Trio's channels the greatest depth seen; from a gauge of one's own what it says."""
    send, receive = trio.open_memory_channel[int](10)

    def broken() -> MailboxStatistics:
        raise Boom

    children = (
        Child("a", forever, mailbox=send.statistics),
        Child("b", forever, mailbox=lambda: MailboxStatistics(1, 2, 3)),
        Child("c", forever, mailbox=broken),
        Child("d", forever),
    )
    async with open_supervisor(Supervisor("s", children)) as tree, send, receive:
        for number in range(3):
            send.send_nowait(number)
        assert MailboxStatistics(3, 3, 10) == tree.snapshot()["a"].mailbox
        receive.receive_nowait()
        snapshot = tree.snapshot()
        assert MailboxStatistics(2, 3, 10) == snapshot["a"].mailbox
        assert MailboxStatistics(1, 2, 3) == snapshot["b"].mailbox
        assert snapshot["c"].mailbox is None
        assert snapshot["d"].mailbox is None


async def test_a_note_is_shown(autojump_clock: MockClock) -> None:
    """One that is empty, or cannot be read, is none."""

    def broken() -> str:
        raise Boom

    children = (
        Child("a", forever, note=lambda: "counts to 3"),
        Child("b", forever, note=str),
        Child("c", forever, note=broken),
    )
    async with open_supervisor(Supervisor("s", children)) as tree:
        snapshot = tree.snapshot()
        assert ["counts to 3", None, None] == [snapshot[name].note for name in "abc"]


def kinds(events: list[SupervisionEvent]) -> list[tuple[type, str]]:
    """The events without their details."""
    return [(type(event), event.path) for event in events]


async def test_events_tell_what_happens_as_it_happens(autojump_clock: MockClock) -> None:
    """From opening the stream on, until the tree has stopped."""
    diary = Diary()
    backoff = Backoff(first=2, jitter=0)
    children = (diary.child("a", 1, 1), Child("b", returns(2), "transient"))
    spec = Supervisor("s", children, max_restarts=1, within=60, on_exhausted="park", backoff=backoff)
    tree = Tree(spec)
    events = tree.events()
    with trio.move_on_after(10):
        await tree.run()
    seen = [event async for event in events]
    assert [
        (ChildStarted, "s/a"),
        (ChildStarted, "s/b"),
        (ChildCrashed, "s/a"),
        (RestartScheduled, "s/a"),
        (ChildFinished, "s/b"),
        (ChildRestarted, "s/a"),
        (ChildCrashed, "s/a"),
        (ChildParked, "s/a"),
    ] == kinds(seen)
    assert [0, 0, 1, 1, 2, 3, 4, 4] == [event.at - diary.began for event in seen]
    crashed, scheduled = seen[2:4]
    assert isinstance(crashed, ChildCrashed)
    assert isinstance(crashed.error, Boom)
    assert isinstance(scheduled, RestartScheduled)
    assert (("a",), 1, 2.0) == (scheduled.children, scheduled.attempt, scheduled.delay)


async def test_a_slow_listener_loses_the_oldest_and_knows_it(autojump_clock: MockClock) -> None:
    """The supervisor never waits for a listener."""
    async with open_supervisor(Supervisor("s", (Child("a", forever),))) as tree:
        async with tree.events(capacity=3) as events:
            for _ in range(3):
                await tree.restart("a")
            assert 3 == events.missed
            last = [await events.receive() for _ in range(3)]
        assert [(ChildStarted, "s/a"), (ChildStopped, "s/a"), (ChildStarted, "s/a")] == kinds(last)
        with pytest.raises(trio.EndOfChannel):
            await events.receive()
    assert [] == [event async for event in tree.events()]


async def test_a_listener_is_woken(autojump_clock: MockClock) -> None:
    """One that waits for the next event gets it when it happens, and the end when it ends."""
    diary = Diary()

    async def listen() -> None:
        async with tree.events() as events:
            async for event in events:
                diary.write(type(event).__name__)

    spec = Supervisor("s", (Child("a", forever),))
    async with trio.open_nursery() as nursery, open_supervisor(spec) as tree:
        nursery.start_soon(listen)
        await trio.sleep(3)
        await tree.stop("a")
        await trio.sleep(3)
    assert [(3, "ChildStopped")] == diary.lines


async def test_restart_applies_the_strategy_and_does_not_count(autojump_clock: MockClock) -> None:
    """What depends on the child is restarted with it, at once, as often as one likes."""
    diary = Diary()
    children = (diary.child("a"), diary.child("b"), diary.child("c"))
    spec = Supervisor("s", children, strategy="rest_for_one", max_restarts=0)
    async with open_supervisor(spec) as tree:
        del diary.lines[:]
        await tree.restart("b")
        await tree.restart("s/b")
        assert (
            2
            * [
                (0, "c ends"),
                (0, "b ends"),
                (0, "b starts"),
                (0, "c starts"),
            ]
            == diary.lines
        )
        assert ("running", 3, 0) == (
            (b := tree.snapshot()["b"]).state,
            b.incarnation,
            b.restarts,
        )


async def test_stop_keeps_a_child_down(autojump_clock: MockClock) -> None:
    """Through the restarts of its group, until it is started again; its siblings do not notice."""
    diary = Diary()
    children = (diary.child("a", 3), diary.child("b"))
    spec = Supervisor("s", children, strategy="one_for_all", backoff=AT_ONCE)
    async with open_supervisor(spec) as tree:
        await tree.stop("b")
        await tree.stop("b")
        await trio.sleep(5)
        assert ["running", "stopped"] == [each.state for each in tree.snapshot().children]
        await tree.start("b")
        await tree.start("b")
        assert ["running", "running"] == [each.state for each in tree.snapshot().children]
        assert 2 == sum(text == "b starts" for _, text in diary.lines)


async def test_a_stop_ends_a_backoff(autojump_clock: MockClock) -> None:
    """A child that is to be restarted in an hour can be stopped, or started, now."""
    diary = Diary()
    backoff = Backoff(first=3600, cap=3600, jitter=0)
    spec = Supervisor("s", (diary.child("a", 1, 1),), max_restarts=None, backoff=backoff)
    async with open_supervisor(spec) as tree:
        await trio.sleep(2)
        await tree.restart("a")
        await trio.sleep(2)
        assert "backing_off" == tree.snapshot()["a"].state
        await tree.stop("a")
        await trio.sleep(5000)
        assert "stopped" == tree.snapshot()["a"].state


async def test_commands_say_when_the_child_did_not_come_up(autojump_clock: MockClock) -> None:
    """With what became of it."""
    children = (Child("a", returns(), "transient"), Child("b", raises(Boom()), "temporary"))
    async with open_supervisor(Supervisor("s", children)) as tree:
        await trio.sleep(1)
        assert ["finished", "failed"] == [each.state for each in tree.snapshot().children]
        for _ in range(50):  # Trio runs what is due in a random order
            await tree.start("a")  # it was ready for a moment
        with pytest.raises(UnknownChild, match="no child 'x'; there is 'a', 'b'"):
            await tree.start("x")
        with pytest.raises(UnknownChild):
            await tree.start("a/x")
    with pytest.raises(NotSupervising):
        await tree.start("a")


async def test_a_start_that_fails_is_told_to_who_asked(autojump_clock: MockClock) -> None:
    """`ChildDown` names the state."""
    broken = True

    async def maybe(task_status: "trio.TaskStatus[None]") -> None:
        if broken:
            raise Boom
        task_status.started()
        await trio.sleep_forever()

    async with open_supervisor(Supervisor("s", (Child("a", maybe, "temporary"),))) as tree:
        with pytest.raises(ChildDown, match="'s/a' is not running: it is failed"):
            await tree.start("a")
        broken = False
        await tree.start("a")
        assert "running" == tree.snapshot()["a"].state


async def test_a_stop_of_the_tree_ends_a_command(autojump_clock: MockClock) -> None:
    """Nobody waits for a child that will not come."""
    diary = Diary()
    async with open_supervisor(Supervisor("s", (Child("a", diary.readies("a", 3)),))) as tree:

        async def restart() -> None:
            with pytest.raises(ChildDown, match="stopped"):
                await tree.restart("a")
            diary.write("told")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(restart)
            await trio.sleep(1)
            tree.request_stop()
        await tree.wait_stopped()
    assert (4, "told") in diary.lines


async def connection(name: str, diary: Diary, *, task_status: "trio.TaskStatus[None]") -> None:
    """A dynamic child."""
    await trio.sleep(1)
    diary.write(f"{name} is ready")
    task_status.started()
    await trio.sleep(10)
    raise Boom


async def test_dynamic_children_come_and_go(autojump_clock: MockClock) -> None:
    """Of one kind, with arguments of their own; a temporary one that has ended is forgotten."""
    diary = Diary()
    spec = Supervisor("s", (Supervisor("dynamic", template=Child("connection", connection, "temporary")),))
    async with open_supervisor(spec) as tree:
        await tree.add("dynamic", "x", "x", diary)
        tree.add_nowait("dynamic", "y", "y", diary)
        with pytest.raises(ValueError, match="'y' is taken"):
            tree.add_nowait("dynamic", "y", "y", diary)
        with pytest.raises(ValueError, match="'s' is not dynamic"):
            await tree.add("", "y", "y", diary)
        with pytest.raises(ValueError, match="'s' is not dynamic"):
            await tree.remove("dynamic")
        assert ["x", "y"] == [each.name for each in tree.snapshot()["dynamic"].children]
        assert [(1, "x is ready")] == diary.lines
        await tree.remove("dynamic/x")
        assert ["y"] == [each.name for each in tree.snapshot()["dynamic"].children]
        await trio.sleep(30)
        assert () == tree.snapshot()["dynamic"].children


async def test_dynamic_children_are_restarted_one_by_one(autojump_clock: MockClock) -> None:
    """With the arguments they were added with."""
    diary = Diary()
    template = Child("connection", partial(connection, diary=diary))
    spec = Supervisor("s", template=template, backoff=Backoff(first=1, jitter=0), max_restarts=None)
    async with open_supervisor(spec) as tree:
        await tree.add("", "x", "x")
        await trio.sleep(12)
    assert [(1, "x is ready"), (13, "x is ready")] == diary.lines


async def test_dynamic_children_stop_all_at_once(autojump_clock: MockClock) -> None:
    """They have no order; a thousand slow ones take as long as one."""
    diary = Diary()
    spec = Supervisor("s", template=Child("t", diary.drains("t", 3)))
    async with open_supervisor(spec) as tree:
        for number in range(1000):
            tree.add_nowait("", str(number))
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
    assert 3 == trio.current_time() - began


async def test_an_ended_child_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    """A thousand short children later, none of them is remembered."""
    left = weakref.WeakSet[object]()
    ran = 0

    class Thing:
        """Something a child holds."""

    async def short(thing: Thing) -> None:
        nonlocal ran
        left.add(thing)
        ran += 1

    async with open_supervisor(Supervisor("s", template=Child("t", short, "temporary"))) as tree:
        for number in range(1000):
            tree.add_nowait("", str(number), Thing())
        await trio.sleep(1)
        gc.collect()
        assert 1000 == ran
        assert 0 == len(left)
        assert () == tree.snapshot().children
