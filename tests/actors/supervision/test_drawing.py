"""A tree as text."""

import trio
from trio.testing import MockClock

from rolebook.actors import Child, Supervisor, draw, open_supervisor
from rolebook.actors.supervision import MailboxStatistics, Snapshot

from .cast import AT_ONCE, Diary, forever
from .test_configuration import TREE


def test_the_configured_tree_is_drawn() -> None:
    """With what is not usual about each."""
    assert """\
plant (one_for_one, at most 3 restarts in 7.5 s)
├── sensor (transient, brutal)
├── session (one_for_all, restarts without end, auto_shutdown any_significant)
│   └── server (transient, stops in 1.5 s, significant)
└── connections (dynamic, at most 3 restarts in 5 s, then parks)
    └── connection (temporary)""" == draw(TREE)


async def test_the_live_tree_is_drawn(autojump_clock: MockClock) -> None:
    """With what each is doing."""
    diary = Diary()
    inner = Supervisor("inner", (diary.child("a", 60),), backoff=AT_ONCE, strategy="one_for_all")
    gauge = lambda: MailboxStatistics(2, 7)  # noqa: E731
    async with open_supervisor(
        Supervisor("s", (inner, Child("b", forever, mailbox=gauge, note=lambda: "owns 2")))
    ) as tree:
        await trio.sleep(5000)
        assert """\
s (one_for_one): running 1 h
├── inner (one_for_all): running 1 h
│   └── a: running 1 h, 1 restart, last error Boom: a
└── b: running 1 h, mailbox 2 (peak 7), owns 2""" == draw(tree.snapshot())


def test_uptimes_are_drawn_coarsely() -> None:
    """A glance must do."""
    shown = [
        draw(Snapshot("a", "a", "child", "running", 1, 0, uptime)) for uptime in (0.02, 5, 150, 7300, 200_000)
    ]
    assert ["20 ms", "5 s", "2 min", "2 h", "2 d"] == [line.removeprefix("a: running ") for line in shown]
