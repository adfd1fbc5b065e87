"""A message that ends its process is found and given up; one whose process is ended from outside never is."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random

import pytest
import trio
from attrs import define

from rolebook.runtime.postgres import migrate
from tests.chaos.scene import ROOT, ROUNDS, SECONDS, dice
from tests.runtime.looking import Looking

SEND = """
insert into rolebook.messages (queue, partition, key, type, payload)
select queue, rolebook.partition_of(key), key, 'killing.do',
       json_build_object('number', number, 'ends', ends, 'seconds', %s::float8)
from (select 'jobs' as queue, null as key, n as number,
             case when n = any (%s::int[]) then %s else '' end as ends
      from generate_series(1, %s) n
      union all
      select 'doer', 'k' || n %% 16, n, case when n = any (%s::int[]) then %s else '' end
      from generate_series(1, %s) n) as m
"""
EMPTY = "select not exists (select from rolebook.messages)"
COUNT = 1500
ONE_IS_GIVEN_UP = "select exists (select from rolebook.dead_letters)"
NOTHING_MORE = f"{EMPTY} or ({ONE_IS_GIVEN_UP})"
GIVEN_UP = "select queue, (payload ->> 'number')::int from rolebook.dead_letters order by 1, 2"
CLOCK = "select clock_timestamp()"
BEGAN_SINCE = "select exists (select from rolebook.trials where began_at > %s)"
DEATHS_OF_ONE = 5
"""Unnoticed, in a group, one at a time, and twice alone."""


@define(eq=False)
class Keeper:
    """Starts a process again whenever it has ended, as a service manager does."""

    url: str
    name: str
    ends: int = 0
    process: trio.Process | None = None

    async def keep(self) -> None:
        """Keep it up until cancelled."""
        command = [sys.executable, "-m", "tests.chaos.killing", self.url, self.name]
        while True:
            async with trio.open_nursery() as nursery:
                self.process = await nursery.start(
                    partial(
                        trio.run_process,
                        command,
                        cwd=ROOT,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        check=False,
                        deliver_cancel=_kill,
                    )
                )
            self.ends += 1

    def kill(self) -> None:
        """End it from outside."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()


async def _kill(process: trio.Process) -> None:
    process.kill()


async def prepare(
    looking: Looking,
    count: int,
    how: str = "",
    jobs: Sequence[int] = (),
    commands: Sequence[int] = (),
    *,
    seconds: float = 0.0,
) -> None:
    """Make the schema, and send what is to be handled: some of it ends its process."""
    await migrate(looking.connection, schema="rolebook", partitions=8)
    await looking.do(SEND, seconds, list(jobs), how, count, list(commands), how, count)


async def everything_else_happened(
    looking: Looking, count: int, jobs: Sequence[int] = (), commands: Sequence[int] = ()
) -> None:
    """Each innocent message was handled once."""
    for keys, killers in (("from-%", jobs), ("k%", commands)):
        rows = await looking.rows(
            "select (payload ->> 'number')::int, count(*) from rolebook.events"
            " where key like %s group by 1 order by 1",
            keys,
        )
        assert rows == [(number, 1) for number in range(1, count + 1) if number not in killers]


@pytest.mark.parametrize(
    ("how", "jobs", "commands"),
    [("exit", [300], [300]), ("freeze", [300], []), ("freeze", [], [300])],
    ids=["both end it", "a handler freezes it", "an actor freezes it"],
)
async def test_a_killer_is_given_up(
    database_url: str, looking: Looking, how: str, jobs: list[int], commands: list[int]
) -> None:
    """One among thousands, with two processes that are kept up; the others are handled once."""
    await prepare(looking, 1000, how, jobs, commands)
    keepers = [Keeper(database_url, f"w{number}") for number in range(2)]
    async with trio.open_nursery() as nursery:
        for keeper in keepers:
            nursery.start_soon(keeper.keep)
        await looking.until(EMPTY, within=120)
        nursery.cancel_scope.cancel()
    expected = [("doer", number) for number in commands] + [("jobs", number) for number in jobs]
    assert await looking.rows(GIVEN_UP) == expected
    assert await looking.value("select bool_and(error like '%%ProcessEnded%%') from rolebook.dead_letters")
    await everything_else_happened(looking, 1000, jobs, commands)
    if how == "exit":
        assert sum(keeper.ends for keeper in keepers) <= 2 * DEATHS_OF_ONE


async def kill_at_random(url: str, looking: Looking, chance: Random, seconds: float) -> bool:
    """Handle messages while processes are killed again and again, then in peace; stop when one is given up.

    Returns:
        Whether one was.
    """
    await prepare(looking, COUNT, seconds=0.02)  # so that kills meet what is in work
    keepers = [Keeper(url, f"w{number}") for number in range(2)]
    async with trio.open_nursery() as nursery:
        for keeper in keepers:
            nursery.start_soon(keeper.keep)
        end = trio.current_time() + seconds
        while trio.current_time() < end and not await looking.value(NOTHING_MORE):
            killed_at = await looking.value(CLOCK)
            await trio.sleep(chance.uniform(0.3, 1.5))
            if any(keeper.ends for keeper in keepers) and chance.random() < 0.7:
                with trio.move_on_after(5):  # a machine under load starts slowly: let one come to a trial
                    await looking.until(BEGAN_SINCE, killed_at)
            for keeper in chance.choice((keepers, keepers[:1], keepers[1:])):
                keeper.kill()
        await looking.until(NOTHING_MORE, within=120)
        nursery.cancel_scope.cancel()
    assert any(keeper.ends for keeper in keepers)
    return bool(await looking.value(ONE_IS_GIVEN_UP))


async def test_kills_from_outside_bury_nobody(database_url: str, looking: Looking) -> None:
    """However often processes are killed, what they handle is given up by nobody."""
    assert not await kill_at_random(database_url, looking, dice(), 3 * SECONDS)
    await everything_else_happened(looking, COUNT)


async def test_kills_from_outside_bury_nobody_control(database_url: str, looking: Looking) -> None:
    """If every death counted against all that was in work, innocents would be given up."""
    await migrate(looking.connection, schema="rolebook", partitions=8)
    await looking.do(
        "create function public.count_all() returns trigger language plpgsql as"
        " $$ begin new.level := 2; new.lived := 1e9; return new; end $$"
    )
    await looking.do(
        "create trigger count_all before insert on rolebook.trials"
        " for each row execute function public.count_all()"
    )
    chance = dice()
    for _ in range(ROUNDS):
        if await kill_at_random(database_url, looking, chance, 30):
            return
    pytest.fail("no innocent was given up: this proves nothing")
