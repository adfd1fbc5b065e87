"""The pytest plugin, in projects of its own: real runs of pytest in other processes."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.databases import TestServer, temporary_folder
from tests.programs import Ended, run

BANK = """
import rolebook as rb
from attrs import define, frozen

@rb.event("account.deposited")
@frozen
class Deposited:
    amount: int

@rb.command("account.deposit")
@frozen
class Deposit(rb.Command[int]):
    amount: int

@rb.actor("account")
@define
class Account:
    balance: int = 0

    @rb.decide
    def deposit(self, command: Deposit) -> rb.Effects[int]:
        yield Deposited(command.amount)
        return self.balance

    @rb.apply
    def deposited(self, event: Deposited) -> None:
        self.balance += event.amount

app = rb.App("bank", actors=[Account])
"""

PLAIN = "def test_plain(): pass\n"

ON_MEMORY = """
from bank import *
import trio

async def test_an_hour_takes_no_time(memory_runtime, autojump_clock):
    began = trio.current_time()
    async with memory_runtime(app) as runtime:
        await runtime.tell(Account, "alice", Deposit(5), delay=3600)
        await trio.sleep(3599)
        await runtime.wait_idle()
        assert (await runtime.read(Account, "alice")).balance == 0
        await trio.sleep(2)
        await runtime.wait_idle()
        (recorded,) = [each async for each in runtime.events(Account, "alice")]
        assert recorded.recorded_at.isoformat()[:16] == "2000-01-01T01:00"
    assert trio.current_time() - began >= 3601

async def test_a_restart_finds_what_was_committed(memory_runtime):
    for balance in (5, 10):
        async with memory_runtime(app) as runtime:
            assert await runtime.ask(Account, "alice", Deposit(5)) == balance

async def test_every_test_begins_with_nothing(memory_runtime):
    async with memory_runtime(app, process="one") as one, memory_runtime(app, process="two") as two:
        assert await one.ask(Account, "alice", Deposit(1)) == 1
        assert await two.ask(Account, "alice", Deposit(1)) == 2

def test_without_pytest_trio(memory_runtime):
    async def main():
        async with memory_runtime(app) as runtime:
            return await runtime.ask(Account, "alice", Deposit(3))
    assert trio.run(main) == 3
"""

ON_A_DATABASE = """
from bank import *
import psycopg

async def test_a_runtime(database_runtime):
    for balance in (5, 10):
        async with database_runtime(app) as runtime:
            assert await runtime.ask(Account, "alice", Deposit(5)) == balance

async def test_another_runtime_has_another_database(database_runtime):
    async with database_runtime(app) as runtime:
        assert await runtime.ask(Account, "alice", Deposit(5)) == 5

def test_a_bare_database(rolebook_database):
    with psycopg.connect(rolebook_database) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
"""


def pytest_run(
    folder: Path, files: Mapping[str, str], *arguments: str, env: Mapping[str, str] | None = None
) -> Ended:
    """Run pytest on a project; warnings are errors there too."""
    (folder / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    environment = {"TEST_DATABASE_URL": "", "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    return run("pytest", "-p", "no:cacheprovider", *arguments, env=environment, cwd=folder)


def test_fixtures_are_documented(tmp_path: Path) -> None:
    """`pytest --fixtures` shows each with its first line."""
    ended = pytest_run(tmp_path, {"test_plain.py": PLAIN}, "--fixtures")
    for name in ("memory_runtime", "database_runtime", "rolebook_database", "rolebook_server"):
        assert f"\n{name} " in ended.out
    assert "Opens runtimes in memory" in ended.out


def test_memory_runtime(tmp_path: Path) -> None:
    """A runtime in memory needs no database: virtual time, restarts, several at once, with any runner."""
    ended = pytest_run(
        tmp_path,
        {"bank.py": BANK, "test_memory.py": ON_MEMORY},
        env={"TEST_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
    )
    assert ended.code == 0, ended.text
    assert "4 passed" in ended.out


def test_database_runtime_on_a_given_server(tmp_path: Path, postgres: TestServer) -> None:
    """`TEST_DATABASE_URL` names the server; every test has a database of its own."""
    ended = pytest_run(
        tmp_path,
        {"bank.py": BANK, "test_database.py": ON_A_DATABASE},
        env={"TEST_DATABASE_URL": postgres.url},
    )
    assert ended.code == 0, ended.text
    assert "3 passed" in ended.out


def test_database_runtime_on_a_server_of_its_own(tmp_path: Path) -> None:
    """Without a server there is an embedded one, and nothing of it is left."""
    with temporary_folder() as temporary:
        ended = pytest_run(
            tmp_path,
            {"bank.py": BANK, "test_database.py": ON_A_DATABASE},
            env={"TMPDIR": str(temporary)},
        )
        assert ended.code == 0, ended.text
        assert "3 passed" in ended.out
        assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (
            {"TEST_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
            "TEST_DATABASE_URL names a server that cannot",
        ),
        (
            {"ROLEBOOK_PG_BIN": "/nonexistent"},
            "Or set TEST_DATABASE_URL to a server on which the tests may create and drop databases",
        ),
    ],
)
def test_a_project_without_a_database_is_not_disturbed(
    tmp_path: Path, env: Mapping[str, str], words: str
) -> None:
    """Tests that need none run; one that does is an error with the reason and the remedy, and not skipped."""
    files = {"bank.py": BANK, "test_plain.py": PLAIN, "test_database.py": ON_A_DATABASE}
    ended = pytest_run(tmp_path, files, env=env)
    assert ended.code == 1
    assert "1 passed, 3 errors" in ended.out
    assert words in ended.out
    assert "Traceback" not in ended.out
