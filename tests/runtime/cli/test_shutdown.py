"""`rolebook run --shutdown`: how long a process takes to end after a signal."""

from time import monotonic

import trio

from tests.programs import Program, Signal, started
from tests.proxy import open_proxy
from tests.runtime.cli.conftest import CLI, Database
from tests.runtime.cli.counters import QUEUES

COUNTERS = "tests.runtime.cli.counters:app"
SHUTDOWN = 2.0
LITTLE = 2.5
"""Seconds that a busy machine may take longer, and that Python takes to leave."""


def fill(database: Database, program: Program) -> None:
    """Send two messages to each of the queues, and wait until the first of each is in work."""
    program.line("counters runs")
    for number in range(2):
        for queue in QUEUES:
            database.ask(
                "select rolebook.enqueue(%s, 'counters.count', json_build_object('number', %s::int))",
                queue,
                number,
            )
    for _ in QUEUES:
        program.line("begins 0")


def test_a_signal_ends_six_queues_within_one_deadline(database: Database) -> None:
    """Turns that do not end are cancelled together; nothing begins meanwhile, and every message stays."""
    with started(CLI, "run", COUNTERS, "--shutdown", "2", env={"DATABASE_URL": database.url}) as program:
        fill(database, program)
        sent = monotonic()
        program.send(Signal.SIGTERM)
        ended = program.wait(timeout=20)
        took = monotonic() - sent
    assert took < SHUTDOWN + LITTLE
    assert ended.code == 0, ended.text
    assert "begins" not in ended.text
    assert "Traceback" not in ended.text
    assert database.ask("select count(*) from rolebook.messages") == 2 * len(QUEUES)
    assert database.ask("select count(*) from pg_locks where locktype = 'advisory'") == 0


async def test_a_signal_ends_a_process_whose_link_is_dead(database: Database) -> None:
    """Over a link that swallows everything, too, it ends by the deadline, and every message stays."""
    async with open_proxy(database.url) as proxy:
        arguments = ("run", COUNTERS, "--shutdown", "2", "--database-url", proxy.url)
        with started(CLI, *arguments) as program:
            await trio.to_thread.run_sync(fill, database, program)
            proxy.freeze()
            sent = monotonic()
            program.send(Signal.SIGTERM)
            ended = await trio.to_thread.run_sync(program.wait, 40)
            took = monotonic() - sent
        proxy.cut()
    assert took < SHUTDOWN + LITTLE
    assert ended.code == 0, ended.text
    assert "begins" not in ended.text
    assert "Traceback" not in ended.text
    assert database.ask("select count(*) from rolebook.messages") == 2 * len(QUEUES)
