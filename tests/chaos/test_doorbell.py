"""No wake-up is lost: a process that falls asleep all the time, and senders that stall wherever they can.

In each episode some senders send one message each, and all of them have to arrive. Between two episodes
nobody sends, so a message for which nobody rang is found by no other's ring: it would lie for `LATE`
seconds.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random

import pytest
import trio
from attrs import define, field, frozen

import rolebook as rb
from rolebook.runtime import Client
from rolebook.runtime.postgres import Connection, connect_session
from rolebook.runtime.postgres._fetching import PostgresFetchSession
from rolebook.runtime.system import _drowsing
from rolebook.runtime.system._doubt import Doubt
from rolebook.runtime.system._fetcher import Fetcher
from tests import seeds
from tests.chaos.ledger import settings
from tests.chaos.scene import SECONDS, prepare
from tests.chaos.weakening import edit
from tests.runtime.looking import Looking

LATE = 30.0
"""Seconds until a process looks that nobody woke."""

PATIENCE = 5.0
"""Seconds after which a message counts as lost: much less than that, and much more than it needs."""

IMPATIENCE = 1.5
"""The same for the controls, which are to lose some."""

SENDERS = 4
"""With SQL; and one more of another process."""

SETTINGS = settings(
    poll_interval=LATE, idle_session_timeout=4 * LATE, health_interval=LATE, command_deadline=20
)

STALL = """
create function public.stall() returns void language sql volatile as
$$ select pg_sleep(case when random() < 0.5 then random() * 0.004 else 0 end) $$
"""


Weakening = Callable[[Looking, pytest.MonkeyPatch], Awaitable[None]]


@rb.command("bell.note")
@frozen
class Note(rb.Command[None]):
    number: int


@define(eq=False)
class Desk:
    """Handles messages, and says when those of an episode are there."""

    waits_for: set[int] = field(factory=set[int])
    complete: trio.Event = field(factory=trio.Event)

    def app(self) -> rb.App:
        app = rb.App("bell")

        @app.handler("notes")
        async def note(command: Note) -> None:
            self.waits_for.discard(command.number)
            if not self.waits_for:
                self.complete.set()

        return app


@define(eq=False)
class Senders:
    """Send in transactions of their own, and stall in them."""

    client: Client
    connections: list[Connection]
    chance: Random
    patience: float
    number: int = 0

    async def episode(self, desk: Desk) -> bool:
        """Send one message each; say whether all arrived in time."""
        numbers = range(self.number, self.number + SENDERS + 1)
        self.number = numbers.stop
        desk.waits_for, desk.complete = set(numbers), trio.Event()
        async with trio.open_nursery() as nursery:
            for connection, number in zip(self.connections, numbers, strict=False):
                nursery.start_soon(self._by_sql, connection, number)
            nursery.start_soon(self.client.enqueue, "notes", Note(numbers[-1]))
        with trio.move_on_after(self.patience) as scope:
            await desk.complete.wait()
        return not scope.cancelled_caught

    async def _by_sql(self, connection: Connection, number: int) -> None:
        await self._stall()
        await connection.execute("begin")
        await connection.execute(
            "select rolebook.enqueue('notes', 'bell.note', json_build_object('number', %s::int))", (number,)
        )
        await self._stall()
        await connection.execute("commit")

    async def _stall(self) -> None:
        await trio.sleep(self.chance.random() * 0.004 if self.chance.random() < 0.5 else 0.0)


@define(eq=False)
class Show:
    """What came of it."""

    episodes: int = 0
    lost: int = 0
    sleeps: int = 0


def sleep_often(patch: pytest.MonkeyPatch, show: Show) -> None:
    """Every ring wakes the process, and the first look in vain lets it sleep again. Count that."""
    for name, value in {"IN_A_ROW": 1, "MOST_IN_A_ROW": 1, "FULL": 2}.items():
        patch.setattr(_drowsing, name, value)
    fall_asleep = PostgresFetchSession.fall_asleep

    async def counted(self: PostgresFetchSession) -> None:
        show.sleeps += 1
        await fall_asleep(self)

    patch.setattr(PostgresFetchSession, "fall_asleep", counted)


async def play(
    url: str, looking: Looking, patch: pytest.MonkeyPatch, weaken: Weakening | None, seconds: float
) -> Show:
    """Play episodes for some seconds, or until a message is lost."""
    await prepare(looking)
    show, desk = Show(), Desk()
    sleep_often(patch, show)
    if weaken is not None:
        await weaken(looking, patch)
    await looking.do(STALL)
    await edit(
        looking,
        "ring_owners",
        ("perform pg_notify('rb_'", "perform public.stall(); perform pg_notify('rb_'"),
        ("<= float8 '0.5' end end;", "<= float8 '0.5' end end; perform public.stall();"),
    )
    app = desk.app()
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(
            rb.open_runtime(app, database=url, settings=SETTINGS, process="owner")
        )
        client = await stack.enter_async_context(
            rb.open_client(app, database=url, settings=SETTINGS, process="sender")
        )
        connections = [
            await stack.enter_async_context(await connect_session(url, role="sender", process="sql"))
            for _ in range(SENDERS)
        ]
        senders = Senders(
            client, connections, Random(seeds.seed()), PATIENCE if weaken is None else IMPATIENCE
        )
        await runtime.wait_idle()
        until = trio.current_time() + seconds
        while trio.current_time() < until and not show.lost:
            show.lost += not await senders.episode(desk)
            show.episodes += 1
    return show


async def test_no_wake_up_is_lost(
    database_url: str, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sleep after sleep, every message arrives long before anybody would look unasked."""
    show = await play(database_url, looking, monkeypatch, None, 2 * SECONDS)
    assert 0 == show.lost
    assert show.sleeps > 30 * SECONDS  # a machine that does nothing else comes to ten times as many


async def ask_first(looking: Looking, _: pytest.MonkeyPatch) -> None:
    """Senders look who is awake before they insert: they have no transaction id yet."""
    ring = 'perform "rolebook".ring_owners(array[enqueue.queue], array[placed]);'
    await edit(
        looking,
        "enqueue",
        (ring, ""),
        (
            "if wanted is null or wanted <= clock_timestamp() then",
            f"{ring} if wanted is null or wanted <= clock_timestamp() then",
        ),
    )


async def look_no_more(_: Looking, patch: pytest.MonkeyPatch) -> None:
    """Who has fallen asleep rests at once."""

    def begin(self: Fetcher) -> None:
        self._doubt.begin()
        self._next_look = trio.current_time() + LATE

    patch.setattr(Fetcher, "_look_out", begin)


async def wait_for_nobody(_: Looking, patch: pytest.MonkeyPatch) -> None:
    """Who runs at the look after falling asleep is not looked for."""
    patch.setattr(Doubt, "next_look", _never)


async def name_no_one(_: Looking, patch: pytest.MonkeyPatch) -> None:
    """Falling asleep takes no id, so that the look after it does not name the youngest that run."""

    async def unlock(self: PostgresFetchSession) -> None:
        await self.connection.execute("select pg_advisory_unlock(%s)", (~self.nonce,))

    patch.setattr(PostgresFetchSession, "fall_asleep", unlock)


def _never(_: Doubt, now: float) -> float:
    del now
    return float("inf")


@pytest.mark.parametrize("weaken", [ask_first, look_no_more, wait_for_nobody, name_no_one])
async def test_no_wake_up_is_lost_control(
    database_url: str, looking: Looking, monkeypatch: pytest.MonkeyPatch, weaken: Weakening
) -> None:
    """Without any one of the four parts of the rule a message lies until somebody looks unasked."""
    show = await play(database_url, looking, monkeypatch, weaken, 60.0)
    assert show.lost
