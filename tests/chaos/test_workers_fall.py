"""Processes that are killed, frozen and woken, and others that take over from them."""

from contextlib import ExitStack

import trio

from tests.chaos.books import Books
from tests.chaos.scene import ROUNDS, SECONDS, Worker, dice, prepare, sending_by_sql, settle, worker
from tests.chaos.weakening import note_trespasses, slow_down, weaken
from tests.runtime.looking import Looking


async def replace_workers(url: str, looking: Looking, books: Books, seconds: float, **changes: float) -> None:
    """Run three processes under load; kill one or let it end, start another, again and again."""
    chance = dice()
    with ExitStack() as stack:
        names = iter(range(1000))

        async def start() -> Worker:
            started = stack.enter_context(worker(url, f"w{next(names)}", **changes))
            await trio.to_thread.run_sync(started.wait_ready)
            return started

        async with sending_by_sql(url, books):
            workers = [await start() for _ in range(3)]
            end = trio.current_time() + seconds
            while trio.current_time() < end:
                await trio.sleep(chance.uniform(0, 0.3))
                fallen = workers.pop(0)  # the oldest owns most
                await trio.to_thread.run_sync(fallen.kill if chance.random() < 0.7 else fallen.end)
                workers.append(await start())
        for each in workers:
            await trio.to_thread.run_sync(each.end)
    await settle(url, looking)


async def test_killed_workers(database_url: str, looking: Looking) -> None:
    """Processes come, end and are killed; others take over, and everything happens exactly once."""
    await prepare(looking)
    books = Books()
    await replace_workers(database_url, looking, books, SECONDS)
    assert books.accepted
    assert await books.violations(looking) == []


async def test_killed_workers_control(database_url: str, looking: Looking) -> None:
    """Without the checks, what a killed process left under way happens a second time elsewhere."""
    await prepare(looking)
    await weaken(looking, "epoch", "rows")
    books = Books()
    for _ in range(ROUNDS):
        await slow_down(looking, 0.3)
        await replace_workers(database_url, looking, books, 1, take_interval=0.01)
        if await books.violations(looking):
            return
    raise AssertionError("the weakened schema passed: the test proves nothing")


async def freeze_a_worker(url: str, looking: Looking, books: Books, times: int) -> list[str]:
    """Freeze a process under load until another has taken over, and wake it; return what it did wrongly.

    The process asks actors of its own without a pause, so that at any moment it has turns in its hands
    that no row in a mailbox stands for: only the epoch keeps them from being committed. Once it is awake it
    gets its share back, and goes on by right.
    """
    for _ in range(times):
        with worker(url, "sleeper", "tick") as sleeper:
            await trio.to_thread.run_sync(sleeper.wait_ready)
            await looking.until("select bool_and(owner = 'sleeper') from rolebook.partitions")
            await looking.until("select count(*) > 0 from rolebook.events where actor = 'ticker'")
            with worker(url, "watcher") as watcher:
                async with sending_by_sql(url, books):
                    await trio.to_thread.run_sync(watcher.wait_ready)
                    sleeper.freeze()
                    await looking.until("select bool_and(owner = 'watcher') from rolebook.partitions")
                    sleeper.wake()
                    # It has noticed when it has its share again; by then what it held is settled.
                    await looking.until("select bool_or(owner = 'sleeper') from rolebook.partitions")
                    await looking.until("select count(*) > %s from public.audits", len(books.accepted) // 2)
                await trio.to_thread.run_sync(watcher.end)
            await trio.to_thread.run_sync(sleeper.end)
    await settle(url, looking)
    wrong = await looking.rows("select process, key, seq from public.trespasses where actor = 'ticker'")
    return [f"{process}: {key} #{seq}" for process, key, seq in wrong]


async def test_a_frozen_worker(database_url: str, looking: Looking) -> None:
    """A process that was frozen while another took over commits nothing under its old right."""
    await prepare(looking)
    await note_trespasses(looking)
    books = Books()
    assert await freeze_a_worker(database_url, looking, books, max(1, round(SECONDS / 3))) == []
    assert await books.violations(looking) == []


async def test_a_frozen_worker_control(database_url: str, looking: Looking) -> None:
    """Without the check of the epoch, the woken process commits what it had in its hands."""
    await prepare(looking)
    await weaken(looking, "epoch", "session")
    await note_trespasses(looking)
    books = Books()
    for _ in range(ROUNDS // 3):
        await slow_down(looking, 0.02)
        if await freeze_a_worker(database_url, looking, books, 1):
            return
    raise AssertionError("the weakened schema passed: the test proves nothing")


async def test_a_worker_frozen_in_the_middle_of_a_turns_commit(database_url: str, looking: Looking) -> None:
    """A process that is frozen while a handler's transaction commits keeps nobody from taking over."""
    await prepare(looking)
    await slow_down(looking, 0.5)
    books = Books()
    with worker(database_url, "sleeper") as sleeper:
        await trio.to_thread.run_sync(sleeper.wait_ready)
        async with sending_by_sql(database_url, books):
            await looking.until(
                "select exists (select from pg_stat_activity where wait_event = 'PgSleep'"
                " and application_name = 'rolebook sleeper pool' and datname = current_database())"
            )
            sleeper.freeze()
        await slow_down(looking, 0)
        with worker(database_url, "watcher") as watcher:
            await trio.to_thread.run_sync(watcher.wait_ready)
            await looking.until("select bool_and(owner = 'watcher') from rolebook.partitions")
            sleeper.wake()
            await trio.to_thread.run_sync(watcher.end)
        await trio.to_thread.run_sync(sleeper.end)
    await settle(database_url, looking)
    assert await books.violations(looking) == []
