"""What several processes cost the server, counted: reading and waking do not multiply."""

from contextlib import AsyncExitStack
from functools import partial

import pytest
import trio
from attrs import evolve, frozen

import rolebook as rb
from rolebook.runtime import Runtime, Settings
from tests.runtime.looking import Looking
from tests.waiting import eventually

PROCESSES = 8
SETTINGS = Settings(pool_size=1, poll_interval=60.0, take_interval=60.0)
VISITED = "select coalesce(sum(idx_tup_fetch), 0)::int from pg_stat_user_tables where relname = 'messages'"


@rb.command("many.noop")
@frozen
class Noop(rb.Command[None]):
    number: int


def make_app(handled: list[int]) -> rb.App:
    app = rb.App("many")

    @app.handler("jobs")
    async def job(command: Noop) -> None:
        handled.append(command.number)

    return app


async def start_all(stack: AsyncExitStack, url: str, handled: list[int], count: int) -> list[Runtime]:
    """Start some runtimes, and wait until each owns its share."""
    app = make_app(handled)
    settings = evolve(SETTINGS, take_interval=0.2)
    runtimes = [
        await stack.enter_async_context(
            rb.open_runtime(app, database=url, settings=settings, process=f"p{number}")
        )
        for number in range(count)
    ]

    def settled() -> bool:
        mailboxes = [runtime.statistics().mailbox for runtime in runtimes]
        owned = [mailbox.owned.get("jobs", 0) for mailbox in mailboxes]
        return sum(owned) == 32 and max(owned) - min(owned) <= 1 and not any(m.leaving for m in mailboxes)

    await eventually(settled)
    return runtimes


def reads(runtimes: list[Runtime]) -> int:
    return sum(runtime.statistics().mailbox.reads for runtime in runtimes)


async def visited(looking: Looking) -> int:
    """How many rows of the mailbox index scans have fetched, in sessions that have ended."""
    await looking.counted()
    return int(await looking.value(VISITED))


async def test_reading_does_not_multiply(database_url: str, looking: Looking) -> None:
    """Of a backlog each row is visited once by whoever reads it, and once by its deletion."""
    handled: list[int] = []
    count = 4000
    async with AsyncExitStack() as stack:
        await start_all(stack, database_url, handled, PROCESSES)
        before = await visited(looking)
        await looking.do(
            "insert into rolebook.messages (queue, partition, type, payload)"
            " select 'jobs', n %% 32, 'many.noop', json_build_object('number', n)"
            " from generate_series(1, %s) n",
            count,
        )
        await looking.do("select rolebook.ring('*')")
        await eventually(lambda: len(handled) >= count)
    assert sorted(handled) == list(range(1, count + 1))
    await eventually(lambda: _flushed(looking))
    assert count <= await visited(looking) - before - count < 1.2 * count  # less: not all was counted


def _has(handled: list[int], number: int) -> bool:
    return number in handled


async def _flushed(looking: Looking) -> bool:
    """Whether every session but ours has ended, and so has said what it did."""
    return bool(
        await looking.value(
            "select count(*) = 0 from pg_stat_activity where datname = current_database()"
            " and application_name like 'rolebook p%%'"
        )
    )


async def test_waking_does_not_multiply(database_url: str, looking: Looking) -> None:
    """At rest a message makes its owner look, and nobody else."""
    handled: list[int] = []
    async with AsyncExitStack() as stack:
        runtimes = await start_all(stack, database_url, handled, PROCESSES)
        before, count = reads(runtimes), 60
        for number in range(count):
            await looking.do(
                "select rolebook.enqueue('jobs', 'many.noop', json_build_object('number', %s::int))", number
            )
            await eventually(partial(_has, handled, number))
        assert reads(runtimes) - before <= 1.2 * count
    assert sorted(handled) == list(range(count))


@pytest.mark.parametrize("role", ["listener", "fetcher"])
async def test_a_broken_session_moves_nothing(database_url: str, looking: Looking, role: str) -> None:
    """A process whose session broke takes back what it had; the others leave it that."""
    async with AsyncExitStack() as stack:
        one, two = await start_all(stack, database_url, [], 2)
        await two.enqueue("jobs", Noop(1))  # its writer is connected: it is known to live
        await one.enqueue("jobs", Noop(2))
        before = two.statistics().mailbox.moves
        epochs = "select sum(epoch)::int from rolebook.partitions"
        epoch = await looking.value(epochs)
        await looking.do(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = %s",
            f"rolebook p0 {role}",
        )
        await looking.until("select (" + epochs + ") > %s", epoch)
        await eventually(lambda: one.statistics().mailbox.owned == {"jobs": 16})
        assert two.statistics().mailbox.moves == before
        assert await looking.value(epochs) == epoch + 16


async def test_many_queues_are_owned_soon(database_url: str, looking: Looking) -> None:
    """Five hundred queues of 32 partitions, with one lock for the process."""
    app = rb.App("wide")
    for number in range(500):

        @app.handler(f"q{number}")
        async def job(command: Noop) -> None: ...

    async with rb.open_runtime(app, database=database_url, settings=SETTINGS) as runtime:
        started = trio.current_time()
        await eventually(lambda: sum(runtime.statistics().mailbox.owned.values()) == 16_000)
        took = trio.current_time() - started
        locks = await looking.value(
            "select count(*) from pg_locks where locktype = 'advisory' and granted"
            " and database = (select oid from pg_database where datname = current_database())"
        )
    assert locks == 1
    assert took < 10  # a bound for a busy machine; the figures are in docs/scaling.md


async def test_more_processes_than_partitions_are_told(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One that has nothing to do says why."""
    settings = evolve(SETTINGS, partitions=1, take_interval=0.1)
    app = make_app([])
    async with (
        rb.open_runtime(app, database=database_url, settings=settings, process="one"),
        rb.open_runtime(app, database=database_url, settings=settings, process="two"),
    ):
        await eventually(lambda: "more processes than partitions" in caplog.text)
    assert "rolebook repartition" in caplog.text


async def test_processes_of_one_name_are_told(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """They work, and share as others do."""
    app, settings = make_app([]), evolve(SETTINGS, take_interval=0.1)
    async with (
        rb.open_runtime(app, database=database_url, settings=settings, process="twin") as one,
        rb.open_runtime(app, database=database_url, settings=settings, process="twin") as two,
    ):
        await eventually(
            lambda: one.statistics().mailbox.owned == two.statistics().mailbox.owned == {"jobs": 16}
        )
    assert "several processes have the name twin" in caplog.text


async def test_another_number_of_partitions_is_refused(database_url: str) -> None:
    """With the number that the database has, and the command that changes it."""
    app = make_app([])
    async with rb.open_runtime(app, database=database_url, settings=evolve(SETTINGS, partitions=8)):
        pass
    async with rb.open_runtime(app, database=database_url, settings=SETTINGS) as runtime:
        assert runtime.store.partitions == 8
    with pytest.raises(rb.InvalidSetting, match=r"16 are asked for.*have 8.*rolebook repartition 16"):
        async with rb.open_runtime(app, database=database_url, settings=evolve(SETTINGS, partitions=16)):
            pass
