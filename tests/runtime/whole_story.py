"""A small story that goes through everything a runtime does with its database."""

from __future__ import annotations

import time
from functools import partial

from attrs import define, frozen

import rolebook as rb
from rolebook.runtime import Runtime
from tests.waiting import eventually

SETTINGS = rb.Settings(
    poll_interval=0.2,
    take_interval=0.05,
    health_interval=0.2,
    backoff=rb.Backoff(first=0.01, cap=0.1),
    pool_size=2,
)

# An owner who wants transactions to be serializable has some of a turn's own repeated.
_SOON = rb.Retry(attempts=5, backoff=rb.Backoff(first=0.01, cap=0.01))


@rb.event("story.added")
@frozen
class Added:
    amount: int
    text: str


@rb.command("story.add")
@frozen
class Add(rb.Command[int]):
    amount: int
    text: str = ""


@rb.actor("counter", snapshot_every=3)
@define
class Counter:
    """Adds up, and keeps the last text."""

    sum: int = 0
    text: str = ""

    @rb.decide
    def add(self, command: Add) -> rb.Effects[int]:
        yield Added(command.amount, command.text)
        return self.sum

    @rb.apply
    def added(self, event: Added) -> None:
        self.sum += event.amount
        self.text = event.text


ODD = 'it\'s "odd" \\ \\x41 {NULL} \u20ac'
"""A text that settings for literals would change."""


def story_app() -> rb.App:
    """The app of the story: an actor, and a queue whose handler does what its command says."""
    app = rb.App("story", actors=[Counter])
    failed: set[str] = set()

    @app.handler("work", retry=_SOON)
    async def work(command: Add, turn: rb.Turn) -> None:
        assert abs(turn.now.timestamp() - time.time()) < 60
        if command.text == "fails":
            raise ValueError(ODD)
        if command.text == "once" and "once" not in failed:
            failed.add("once")
            raise ValueError(ODD)
        if command.text == "sql":
            async with turn.connection() as connection:
                await connection.execute("insert into public.noted (amount) values (%s)", (command.amount,))
                turn.send(rb.Tell(Counter, "sum", Add(command.amount, ODD)))
            return
        turn.send(rb.Tell(Counter, "sum", Add(command.amount, ODD)))

    return app


async def tell_story(url: str, *, lends: bool = True) -> None:
    """Send, ask, delay, retry, bury, keep snapshots, replay, use SQL in a turn, release and take over.

    Args:
        url: A database that has the schema, and nothing in it.
        lends: Whether connections are lent, for SQL that is not the runtime's own.

    Raises:
        AssertionError: Something did not happen, or not exactly once.
    """
    async with rb.open_runtime(story_app(), database=url, settings=SETTINGS, process="first") as first:
        if lends:
            async with first.connection() as connection:
                await connection.execute("create table public.noted (amount int)")
        await _begin(first, lends=lends)
        async with rb.open_runtime(story_app(), database=url, settings=SETTINGS, process="other") as other:
            # Of each of the two queues they have half.
            await eventually(lambda: sum(other.statistics().mailbox.owned.values()) == other.store.partitions)
            await _go_on(first, other)
    async with rb.open_runtime(story_app(), database=url, settings=SETTINGS, process="third") as third:
        await _end(third, lends=lends)


async def _begin(runtime: Runtime, *, lends: bool) -> None:
    for number in range(1, 11):
        assert await runtime.ask(Counter, "asked", Add(number, ODD)) == number * (number + 1) // 2
    await runtime.tell(Counter, "sum", Add(1), idempotency_key="one")
    await runtime.tell(Counter, "sum", Add(1), idempotency_key="one")
    for text in ("", "once", "fails", "sql" if lends else ""):
        await runtime.enqueue("work", Add(10, text), key="k" if text != "fails" else "f")
    await runtime.tell(Counter, "sum", Add(100), delay=0.05)
    if lends:
        async with runtime.connection() as connection, connection.transaction():
            await runtime.tell(Counter, "sum", Add(1000), connection=connection)
    else:
        await runtime.tell(Counter, "sum", Add(1000))
    await eventually(lambda: _is(runtime, "sum", 1131))
    await eventually(runtime.dead_letters)
    (letter,) = await runtime.dead_letters()
    assert (letter.queue, letter.attempts) == ("work", 5)
    assert f"ValueError: {ODD}" in letter.error
    assert abs(letter.died_at.timestamp() - letter.sent_at.timestamp()) < 60


async def _go_on(first: Runtime, other: Runtime) -> None:
    for number in range(11, 21):
        for runtime in (first, other):
            await runtime.tell(Counter, f"told {number}", Add(number))
    for number in range(11, 21):
        await eventually(partial(_is, other, f"told {number}", 2 * number))
    assert await other.ask(Counter, "asked", Add(1)) == 56


async def _end(runtime: Runtime, *, lends: bool) -> None:
    assert await runtime.ask(Counter, "asked", Add(1, ODD)) == 57
    state = await runtime.read(Counter, "asked")
    assert (state.sum, state.text) == (57, ODD)
    events = [each async for each in runtime.events(Counter, "asked")]
    assert len(events) == 12
    assert all(abs(each.recorded_at.timestamp() - events[-1].recorded_at.timestamp()) < 60 for each in events)
    keys = [key async for key in runtime.keys(Counter)]
    assert keys == sorted(["asked", "sum", *(f"told {number}" for number in range(11, 21))])
    assert (await runtime.dead_letters())[0].error
    await runtime.wait_idle()
    if lends:
        async with runtime.connection() as connection:
            answer = await connection.execute("select sum(amount) from public.noted")
            assert await answer.fetchone() == (10,)


async def _is(runtime: Runtime, key: str, expected: int) -> bool:
    return (await runtime.read(Counter, key)).sum == expected
