"""`rolebook run`: real processes, real signals."""

import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from rolebook.runtime.postgres.embedded import PostgresServer
from tests.programs import ROOT, Signal, run, started, wait_until
from tests.runtime.cli.conftest import CLI, SHOP, Database


@pytest.mark.parametrize("number", [Signal.SIGINT, Signal.SIGTERM])
def test_handles_messages_until_a_signal(database: Database, number: Signal) -> None:
    """What was sent before and meanwhile is handled; the signal ends it in order, with exit code 0."""
    database.sell("a", 1)
    with started(CLI, "run", SHOP, env={"DATABASE_URL": database.url}) as program:
        wait_until(database.url, "select count(*) = 1 from rolebook.events", program)
        database.sell("a", 2)
        wait_until(database.url, "select count(*) = 2 from rolebook.events", program)
        program.send(number)
        ended = program.wait(timeout=8)
    assert ended.code == 0, ended.text
    assert "shop runs: shop, wrapping" in ended.err
    assert f"{number.name}: stopping" in ended.err
    assert "Traceback" not in ended.text
    assert database.ask("select count(*) from rolebook.messages") == 0
    assert database.ask("select count(*) from pg_locks where locktype = 'advisory'") == 0


def test_a_second_signal_cancels_what_still_runs(database: Database) -> None:
    """A handler that does not end is waited for after the first signal, and cancelled by the second."""
    with started(CLI, "run", SHOP, "--shutdown", "600", env={"DATABASE_URL": database.url}) as program:
        program.line("shop runs")  # a signal before that cancels at once
        database.wrap(-1)
        program.line("wrapping begins")
        program.send(Signal.SIGTERM)
        program.line("SIGTERM: stopping")
        program.send(Signal.SIGTERM)
        ended = program.wait(timeout=8)
    assert ended.code == 128 + Signal.SIGTERM
    assert "SIGTERM: cancelled" in ended.err
    assert "Traceback" not in ended.text
    assert database.ask("select count(*) from rolebook.messages") == 1


def test_what_does_not_end_is_cancelled_after_the_shutdown_time(database: Database) -> None:
    """`--shutdown` bounds the wait; the message stays for the next run."""
    with started(CLI, "run", SHOP, "--shutdown", "0.3", env={"DATABASE_URL": database.url}) as program:
        program.line("shop runs")  # a signal before that cancels at once
        database.wrap(-1)
        program.line("wrapping begins")
        program.send(Signal.SIGTERM)
        ended = program.wait(timeout=8)
    assert ended.code == 0, ended.text
    assert database.ask("select count(*) from rolebook.messages") == 1


def test_sigusr1_prints_the_live_tree(database: Database) -> None:
    """The tree with its states goes to standard output, and the process works on."""
    with started(CLI, "run", SHOP, env={"DATABASE_URL": database.url}) as program:
        program.line("shop runs")
        program.send(Signal.SIGUSR1)
        assert program.process.stdout is not None
        printed = [program.process.stdout.readline() for _ in range(8)]
        program.send(Signal.SIGTERM)
        assert program.wait(timeout=8).code == 0
    assert printed[0].startswith("shop ")
    assert any("fetcher" in line for line in printed)


def test_a_signal_while_it_connects_ends_it() -> None:
    """A server that never answers does not hold it."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgresql://me@127.0.0.1:{mute.getsockname()[1]}/x"
        with started(CLI, "run", SHOP, "--database-url", url) as program:
            client, _ = mute.accept()
            with client:
                program.send(Signal.SIGINT)
                ended = program.wait(timeout=8)
    assert ended.code == 128 + Signal.SIGINT
    assert "Traceback" not in ended.text


def test_takes_over_what_the_flights_left(database_url: str) -> None:
    """A loader killed after its last page: `rolebook run` handles the rest, and the totals are right."""
    arguments = ("examples.flights", "--database-url", database_url, "--limit", "3000")
    with started(*arguments) as loader:
        wait_until(database_url, "select sum(sent) = 3000 from flights.progress", loader)
        loader.send(Signal.SIGKILL)
        loader.wait()
    with started(CLI, "run", "examples.flights:app", "--database-url", database_url) as program:
        program.line("runs: ")  # the loader may have left nothing to wait for
        wait_until(database_url, "select not exists (select from rolebook.messages)", program)
        program.send(Signal.SIGTERM)
        assert program.wait(timeout=8).code == 0
    checked = run(*arguments)
    assert checked.code == 0, checked.text
    assert "All 3,000 flights were handled before" in checked.out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nonsense", "write MODULE:APP"),
        (".shop:app", "write MODULE:APP"),
        ("tests/runtime/cli/shop.py:app", "write MODULE:APP"),
        ("no.such.module:app", "there is no module 'no'"),
        ("tests.runtime.cli.shop:nothing", "has no 'nothing'; its apps are: app"),
        ("tests.runtime.cli.shop:no_app", "is no rolebook.App but int"),
    ],
)
def test_a_wrong_app_is_a_sentence(name: str, words: str) -> None:
    """It says what was not found, and what there is instead."""
    ended = run(CLI, "run", name)
    assert ended.code == 2
    assert words in ended.err
    assert "Traceback" not in ended.text


def test_the_current_directory_is_searched(tmp_path: Path) -> None:
    """As with `python -m`: a module beside the user is found without an installation."""
    (tmp_path / "mine.py").write_text(
        "import rolebook as rb\n"
        "from tests.runtime.cli.shop import Shop\n"
        "app = rb.App('mine', actors=[Shop])\n"
    )
    script = f"import sys; sys.path.remove(''); sys.path.append({str(ROOT)!r});"
    script += "from rolebook.runtime.cli import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", script, "tree", "mine:app"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("mine (")


def test_an_unreachable_database_is_a_sentence() -> None:
    """It names the server and the remedy."""
    ended = run(CLI, "run", SHOP, "--database-url", "postgresql://me:secret@127.0.0.1:1/x")
    assert ended.code == 1
    assert "error: cannot reach the database: connection failed" in ended.err
    assert "database 'x' on 127.0.0.1, port 1" in ended.err
    assert "remedy: start the server" in ended.err
    assert "secret" not in ended.text
    assert "Traceback" not in ended.text


def test_a_wrong_password_is_a_sentence(private_server: PostgresServer) -> None:
    """It says that the server refused, and never repeats the password."""
    with psycopg.connect(private_server.url, autocommit=True) as connection:
        connection.execute("create role locked login password 'right'")
        rules = private_server.data / "pg_hba.conf"
        rules.write_text("local all locked scram-sha-256\n" + rules.read_text())
        connection.execute("select pg_reload_conf()")
    ended = run(
        CLI, "run", SHOP, "--database-url", make_conninfo(private_server.url, user="locked", password="wrong")
    )
    assert ended.code == 1
    assert "error: the server refused the connection" in ended.err
    assert "wrong" not in ended.text
    assert "Traceback" not in ended.text


def test_a_role_without_rights_is_a_sentence(database_url: str) -> None:
    """It names the role, the schema, and the grant that helps."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop role if exists powerless")
        connection.execute("create role powerless login password 'powerless'")
        try:
            url = make_conninfo(database_url, user="powerless", password="powerless")
            ended = run(CLI, "run", SHOP, "--database-url", url)
        finally:
            connection.execute("drop role powerless")
    assert ended.code == 1
    assert "role 'powerless' may not create schema 'rolebook'" in ended.err
    assert "grant create on database" in ended.err
    assert "Traceback" not in ended.text


@pytest.mark.parametrize("name", ["click", "rich"])
def test_a_missing_extra_is_a_sentence(name: str) -> None:
    """Without the extra `cli` the command says how to install it."""
    script = f"import sys; sys.modules[{name!r}] = None\n"
    script += "from rolebook.runtime.cli import main; sys.exit(main(['--help']))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert (
        ended.stderr == f"error: the command line needs {name}: pip install '.[cli]' in a clone of Rolebook\n"
    )
