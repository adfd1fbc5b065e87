"""Backends that are killed, wires that are cut or go dark, a server that comes and goes."""

import trio

import rolebook as rb
from rolebook.runtime.postgres.embedded import PostgresServer
from tests import databases
from tests.chaos.books import Books
from tests.chaos.ledger import ledger, settings
from tests.chaos.scene import ROUNDS, SECONDS, dice, prepare, sending, settle
from tests.chaos.weakening import slow_down, weaken
from tests.proxy import open_proxy
from tests.runtime.looking import Looking, looking_at
from tests.waiting import eventually

ROLES = ("listener", "fetcher", "writer", "pool", "reader")


async def kill_backends(url: str, looking: Looking, books: Books, seconds: float) -> None:
    """Kill the backends of a runtime under load, one role after the other, in no order."""
    chance = dice()
    async with (
        rb.open_runtime(ledger(), database=url, settings=settings()) as runtime,
        sending(runtime, books),
    ):
        end = trio.current_time() + seconds
        while trio.current_time() < end:
            await looking.terminate(chance.choice(ROLES))
            await trio.sleep(chance.uniform(0, 0.2))
    await settle(url, looking)


async def test_killed_backends(database_url: str, looking: Looking) -> None:
    """Whichever backend is killed, and whenever, everything happens exactly once."""
    await prepare(looking)
    books = Books()
    await kill_backends(database_url, looking, books, SECONDS)
    assert books.accepted
    assert await books.violations(looking) == []


async def test_killed_backends_control(database_url: str, looking: Looking) -> None:
    """Without the checks of epoch and rows, killed backends make things happen twice."""
    await prepare(looking)
    await weaken(looking, "epoch", "rows")
    books = Books()
    for _ in range(ROUNDS):
        await slow_down(looking, 0.02)
        await kill_backends(database_url, looking, books, 1)
        if await books.violations(looking):
            return
    raise AssertionError("the weakened schema passed: the test proves nothing")


async def cut_the_wire(url: str, looking: Looking, books: Books, seconds: float, *, dark: bool) -> None:
    """Cut the wire under load, again and again, and let it go dark in between."""
    chance = dice()
    async with (
        open_proxy(url) as proxy,
        rb.open_runtime(ledger(), database=proxy.url, settings=settings()) as runtime,
        sending(runtime, books),
    ):
        end = trio.current_time() + seconds
        while trio.current_time() < end:
            await trio.sleep(chance.uniform(0.05, 0.3))
            if dark and chance.random() < 0.5:
                proxy.freeze()
                await trio.sleep(chance.uniform(0, 1.5))
                proxy.cut()
                await proxy.heal()
            else:
                proxy.cut()
    await settle(url, looking)


async def test_a_wire_that_is_cut(database_url: str, looking: Looking) -> None:
    """Whenever the wire breaks or goes dark, no commit's outcome is guessed: everything happens once."""
    await prepare(looking)
    books = Books()
    await cut_the_wire(database_url, looking, books, SECONDS, dark=True)
    assert books.accepted
    assert await books.violations(looking) == []


async def test_a_wire_that_is_cut_control(database_url: str, looking: Looking) -> None:
    """Without its marker a commit whose answer was lost counts as failed, and is done again."""
    await prepare(looking)
    await weaken(looking, "marker")
    books = Books()
    for _ in range(ROUNDS):
        await slow_down(looking, 0.02)
        await cut_the_wire(database_url, looking, books, 1, dark=False)
        if await books.violations(looking):
            return
    raise AssertionError("the weakened schema passed: the test proves nothing")


async def restart_the_server(server: PostgresServer, url: str, books: Books, rounds: int) -> None:
    """Stop the server, or kill it, and start it again, under load."""
    chance = dice()
    async with (
        rb.open_runtime(ledger(), database=url, settings=settings()) as runtime,
        sending(runtime, books),
    ):
        for number in range(rounds):
            await trio.to_thread.run_sync(server.stop if number % 2 else server.kill)
            await trio.sleep(chance.uniform(0, 0.3))
            await trio.to_thread.run_sync(server.start)
            await _more(books)


async def _more(books: Books) -> None:
    """Wait until something more is accepted."""
    before = len(books.accepted)
    await eventually(lambda: len(books.accepted) > before, within=60)


async def test_a_server_that_stops_and_starts(private_server: PostgresServer) -> None:
    """Whether the server is shut down or crashes, what was accepted is there, and happens once."""
    url = databases.create_database(private_server.url)
    books = Books()
    async with looking_at(url) as looking:
        await prepare(looking)
    await restart_the_server(private_server, url, books, rounds=max(2, round(SECONDS / 1.5)))
    async with looking_at(url) as looking:
        await settle(url, looking)
        assert await books.violations(looking) == []


async def test_a_server_that_stops_and_starts_control(private_server: PostgresServer) -> None:
    """Without the checks, turns from before the stop and after the start both happen."""
    url = databases.create_database(private_server.url)
    books = Books()
    async with looking_at(url) as looking:
        await prepare(looking)
        await weaken(looking, "epoch", "rows")
    for _ in range(ROUNDS):
        async with looking_at(url) as looking:
            await slow_down(looking, 0.02)
        await restart_the_server(private_server, url, books, rounds=1)
        async with looking_at(url) as looking:
            await settle(url, looking)
            if await books.violations(looking):
                return
    raise AssertionError("the weakened schema passed: the test proves nothing")
