"""`rolebook run --processes`: several processes that are kept up, and end together."""

import os
from random import Random

import pytest

from rolebook.actors import Backoff
from rolebook.runtime.cli._fleet import HEALTHY, Upkeep
from tests.programs import Signal, run, started, wait_until
from tests.runtime.cli.conftest import CLI, SHOP, Database

MEMBERS = (
    "(select count(*) from pg_stat_activity where application_name like 'rolebook % fetcher'"
    " and datname = current_database())"
)
SHARED = "(select count(distinct owner) from rolebook.partitions where queue = 'shop')"


def test_two_processes_share_the_work_and_end_together(database: Database) -> None:
    """A signal to the one that keeps them ends both in order."""
    with started(CLI, "run", SHOP, "--processes", "2", env={"DATABASE_URL": database.url}) as program:
        wait_until(database.url, f"{SHARED} = 2", program)
        for number in range(20):
            database.sell(f"k{number}", 1)
        wait_until(database.url, "select count(*) = 20 from rolebook.events", program)
        program.send(Signal.SIGTERM)
        ended = program.wait(timeout=15)
    assert ended.code == 0, ended.text
    assert "all 2 processes have ended" in ended.err
    assert "Traceback" not in ended.text
    assert database.ask("select count(*) from pg_locks where locktype = 'advisory'") == 0


def test_a_process_that_is_killed_is_started_again(database: Database) -> None:
    """By a name of its own; the others go on meanwhile."""
    with started(CLI, "run", SHOP, "--processes", "2", env={"DATABASE_URL": database.url}) as program:
        wait_until(database.url, f"{SHARED} = 2", program)
        first = database.ask("select owner from rolebook.partitions where queue = 'shop' limit 1")
        os.kill(int(first.split(":")[1]), Signal.SIGKILL)
        wait_until(
            database.url,
            f"{SHARED} = 2 and not exists (select from rolebook.partitions where owner = '{first}')",
            program,
        )
        program.send(Signal.SIGINT)
        ended = program.wait(timeout=15)
    assert ended.code == 0, ended.text
    assert "ended with -9: started again" in ended.err


def test_none_outlives_the_one_that_keeps_them(database: Database) -> None:
    """They end in order when it was killed."""
    with started(CLI, "run", SHOP, "--processes", "2", env={"DATABASE_URL": database.url}) as program:
        wait_until(database.url, f"{SHARED} = 2", program)
        os.kill(program.process.pid, Signal.SIGKILL)
        program.process.wait()
        wait_until(database.url, f"{MEMBERS} = 0")


def test_what_cannot_work_is_not_tried_for_ever() -> None:
    """A database that does not answer ends all, with the code and the sentence of one."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"
    ended = run(CLI, "run", SHOP, "--processes", "2", env={"DATABASE_URL": nowhere})
    assert ended.code == 1, ended.text
    assert "started again" not in ended.err


@pytest.mark.parametrize(
    ("code", "lived", "worked", "pause"),
    [
        (-9, 0.1, False, 0.5),
        (0, 1.0, False, 0.5),
        (1, 0.5, False, None),
        (1, 0.5, True, 0.5),
        (2, 60, False, 0.5),
    ],
)
def test_who_is_started_again(code: int, lived: float, worked: bool, pause: float | None) -> None:
    """Who was killed, who ended by itself, and who failed, if some have worked."""
    upkeep = Upkeep(Backoff(first=0.5, jitter=0, healthy_after=HEALTHY), Random(1))
    if worked:
        upkeep.ended(1, -9, HEALTHY)
    assert upkeep.ended(0, code, lived) == pause
    assert upkeep.is_ending == (pause is None)
    assert upkeep.code == (0 if pause is not None else code)


def test_pauses_grow_until_it_works() -> None:
    """And are short again afterwards; once all are to end, nobody is started."""
    upkeep = Upkeep(Backoff(first=0.5, jitter=0, healthy_after=HEALTHY), Random(1))
    assert [upkeep.ended(0, -9, 1.0) for _ in range(3)] == [0.5, 1.0, 2.0]
    assert upkeep.ended(0, -9, HEALTHY) == 0.5
    upkeep.is_ending = True
    assert upkeep.ended(0, -15, 1.0) is None
    assert upkeep.code == 128 + 15
