"""Drawn programs of blocks, errors and cancellations: each leaves the connection idle and in order."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from random import Random
from typing import Any, cast

import psycopg
import pytest
import trio
from psycopg.rows import TupleRow

from rolebook.runtime.postgres import SETTLE_SECONDS, Connection
from rolebook.runtime.postgres._waiting import Breath
from tests import seeds

from .cancelling import CancelAfter
from .connections import assert_at_rest, connected, value

PROGRAMS = 120
ROWS = "SELECT count(*) FROM t"
CURSORS = "SELECT count(*) FROM pg_cursors WHERE name <> ''"

Session = Connection[TupleRow]
Step = Callable[[Session], Awaitable[None]]


class Boom(Exception):
    """An error of the user's."""


# ---- what a program is made of; `early` leaves what it is about with an error ----


async def insert(connection: Session) -> None:
    await connection.execute("INSERT INTO t VALUES (1)")


async def insert_many(connection: Session) -> None:
    await connection.cursor().executemany("INSERT INTO t VALUES (%s)", [(1,)] * 50)


async def fail(connection: Session) -> None:
    raise Boom


async def fail_on_the_server(connection: Session) -> None:
    await connection.execute("SELECT 1/0")


async def stream(early: bool, connection: Session) -> None:
    rows = cast("Any", connection.cursor().stream("SELECT generate_series(1, 50)"))
    async with aclosing(rows):
        async for _ in rows:
            if early:
                raise Boom


async def copy_in(early: bool, connection: Session) -> None:
    async with connection.cursor().copy("COPY t FROM STDIN") as copy:
        for _ in range(3):
            await copy.write("1\n" * 20_000)
            if early:
                raise Boom


async def copy_out(early: bool, connection: Session) -> None:
    async with connection.cursor().copy("COPY (SELECT generate_series(1, 3000)) TO STDOUT") as copy:
        while await copy.read():
            if early:
                raise Boom


async def page(early: bool, connection: Session) -> None:
    async with connection.transaction(), connection.cursor("pages", withhold=early) as cursor:
        await cursor.execute("SELECT generate_series(1, 150)")
        async for _ in cursor:
            if early:
                raise Boom


PIECES: list[Step] = [insert, insert_many, partial(stream, False), partial(copy_in, False)]
INSERTS: list[Step] = [insert] * 5


async def play(steps: list[Step], connection: Session) -> None:
    for step in steps:
        await step(connection)


async def play_in_transaction(forced: bool, steps: list[Step], connection: Session) -> None:
    async with connection.transaction(force_rollback=forced):
        await play(steps, connection)


async def play_in_pipeline(steps: list[Step], connection: Session) -> None:
    async with connection.pipeline():
        await play(steps, connection)


async def play_and_forgive(steps: list[Step], connection: Session) -> None:
    with suppress(Boom, psycopg.Error):
        await play_in_transaction(False, steps, connection)


def draw(dice: Random, depth: int = 0, *, piped: bool = False) -> list[Step]:
    """Draw a program."""
    return [_draw_step(dice, depth, piped=piped) for _ in range(dice.randint(1, 3))]


def _draw_step(dice: Random, depth: int, *, piped: bool) -> Step:
    if depth < 4 and dice.random() < 0.5:
        kind = dice.randrange(4)
        inner = draw(dice, depth + 1, piped=piped or kind == 0)
        if kind == 0:
            return partial(play_in_pipeline, inner)
        if kind == 1:
            return partial(play_and_forgive, inner)
        return partial(play_in_transaction, dice.random() < 0.2, inner)
    if piped or dice.random() < 0.5:
        return dice.choice((insert, insert, insert_many, fail, fail_on_the_server))
    return partial(dice.choice((stream, copy_in, copy_out, page)), dice.random() < 0.3)


async def assert_whole(connection: Session) -> None:
    """Idle, with no block, lock or cursor left over, and the answers belong to the questions."""
    assert not connection.closed
    assert_at_rest(connection)
    assert not connection.lock.locked()
    assert await value(connection, CURSORS) == 0
    async with connection.transaction():
        assert [await value(connection, "SELECT %s::int", n) for n in range(3)] == [0, 1, 2]


def always(_: Breath) -> bool:
    """A driver that has been busy for too long."""
    return True


@pytest.mark.seeded
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_a_program_that_is_cancelled_somewhere(
    database_url: str, busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is cancelled and whatever fails in it, its transaction is whole or not at all."""
    if busy:
        monkeypatch.setattr(Breath, "is_due", always)
    dice = Random(seeds.seed())
    fired = 0
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        for _ in range(PROGRAMS):
            committed = False

            async def work(steps: list[Step]) -> None:
                nonlocal committed
                await play_in_transaction(False, steps, connection)
                committed = True

            interrupter = CancelAfter(dice.randint(1, 12), waking=dice.random() < 0.5)
            with suppress(Boom, psycopg.Error), trio.fail_after(2 * SETTLE_SECONDS):
                await interrupter.run(partial(work, draw(dice)))
            fired += interrupter.fired
            await assert_whole(connection)
            assert committed or await value(connection, ROWS) == 0
            await connection.execute("TRUNCATE t")
    assert fired > PROGRAMS / 4


@pytest.mark.seeded
async def test_tasks_that_fail_together(database_url: str) -> None:
    """Tasks share two connections, fail and cancel each other; both connections are in order afterwards."""
    dice = Random(seeds.seed())
    async with connected(database_url) as first, connected(database_url) as second:
        await first.execute("CREATE TABLE t (n int)")
        for _ in range(PROGRAMS):
            ends: list[Step] = [fail] if dice.random() < 0.7 else []
            with (
                suppress(BaseExceptionGroup),
                trio.fail_after(2 * SETTLE_SECONDS),
                trio.move_on_after(dice.choice((10, dice.random() / 100))),
            ):
                async with trio.open_nursery() as nursery:
                    for connection in (first, second):
                        steps = [*dice.choices(PIECES, k=3), *ends]
                        nursery.start_soon(play_in_transaction, False, steps, connection)
                        nursery.start_soon(play, INSERTS, dice.choice((first, second)))
            await assert_whole(first)
            await assert_whole(second)
