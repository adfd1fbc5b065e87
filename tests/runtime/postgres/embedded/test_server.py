"""One embedded server: made, stopped, killed, started again, on what a crash left behind."""

import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from rolebook.runtime.postgres.embedded import EmbeddedError, PostgresServer, find_binaries, stop_embedded
from tests.databases import private_server, temporary_folder

from .support import alive, cluster_state, copied_programs, reapers_of, server_in, wait_for


@pytest.fixture(scope="module")
def shared() -> Generator[PostgresServer]:
    """One server for many tests: making a cluster takes longer than most of them."""
    with private_server() as server:
        yield server


@pytest.fixture
def server(shared: PostgresServer) -> PostgresServer:
    """A running server that the test may stop, kill and start."""
    shared.start()
    with psycopg.connect(shared.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS parts")
    return shared


def _ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def _write(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE parts AS SELECT 'Hamlet' AS role")


def test_a_fresh_server_is_private_and_durable(server: PostgresServer) -> None:
    """A new server: durable, UTF-8 without a locale, no TCP, and closed to other accounts."""
    url = server.url
    assert _ask(url, "SHOW fsync") == "on"
    assert _ask(url, "SHOW synchronous_commit") == "on"
    assert _ask(url, "SHOW listen_addresses") == ""
    assert _ask(url, "SHOW server_encoding") == "UTF8"
    assert _ask(url, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
    assert str(_ask(url, "SHOW server_version")).split()[0] == server.version
    assert server.data.parent.stat().st_mode & 0o777 == 0o700
    assert server.data.stat().st_mode & 0o777 == 0o700


def test_the_server_never_runs_as_root(server: PostgresServer) -> None:
    """Its processes and its data belong to an ordinary account: ours, or a lesser one if we are root."""
    owner = server.data.stat().st_uid
    assert owner != 0
    assert os.geteuid() in (0, owner)
    done = subprocess.run(
        ["ps", "-o", "uid=", "-p", str(server.pid)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == owner


def test_data_outlives_a_restart(server: PostgresServer) -> None:
    """What was committed before a clean stop is there after the next start, at the same URL."""
    url = server.url
    _write(url)
    server.stop()
    assert server.pid is None
    assert cluster_state(server) == "shut down"
    server.start()
    assert _ask(url, "SELECT role FROM parts") == "Hamlet"


def test_data_outlives_a_crash(server: PostgresServer) -> None:
    """What was committed is there after a kill -9 of the server, whose pid file stays behind."""
    _write(server.url)
    server.kill()
    assert (server.data / "postmaster.pid").exists()
    assert cluster_state(server) == "in production"
    server.start()
    assert _ask(server.url, "SELECT role FROM parts") == "Hamlet"


def test_a_crash_leaves_no_backend_behind(server: PostgresServer) -> None:
    """A start after a kill waits for orphaned sessions, which still hold the old server's memory."""
    with psycopg.connect(server.url) as connection:
        backend = connection.info.backend_pid
        server.kill()
        server.start()
        assert not alive(backend)


def test_stop_start_and_close_can_be_repeated(server: PostgresServer) -> None:
    """Each of them does nothing where there is nothing to do."""
    first = server.pid
    server.start()
    assert server.pid == first
    server.stop()
    server.stop()
    server.kill()
    server.start()
    assert server.pid not in (None, first)
    server.close()
    server.close()


def test_a_stale_pid_file_of_a_stranger(server: PostgresServer) -> None:
    """A pid file whose number now belongs to another program: the server starts, the other lives on."""
    server.kill()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as stranger:
        _forge_pid_file(server, stranger.pid)
        server.stop()
        server.kill()
        server.start()
        assert _ask(server.url, "SELECT 1") == 1
        assert stranger.poll() is None
        assert stranger.pid != server.pid


def test_a_stale_pid_file_of_a_namesake(server: PostgresServer) -> None:
    """The same, if the other program is called postgres too but works elsewhere."""
    server.kill()
    with temporary_folder() as elsewhere:
        program = elsewhere / "postgres"
        shutil.copy(str(shutil.which("cat")), program)
        with subprocess.Popen([program], stdin=subprocess.PIPE, cwd=elsewhere) as namesake:
            _forge_pid_file(server, namesake.pid)
            server.start()
            assert _ask(server.url, "SELECT 1") == 1
            server.stop()
            assert namesake.poll() is None


def test_a_stale_pid_file_of_another_server(server: PostgresServer, folder: Path) -> None:
    """The same, if the number belongs to the server of another folder."""
    other = server_in(folder)
    other.start()
    server.kill()
    assert other.pid is not None
    _forge_pid_file(server, other.pid)
    server.start()
    server.stop()
    assert _ask(other.url, "SELECT 1") == 1
    other.close()


@pytest.mark.parametrize("content", ["", "\n", "not a number\n", "-1\n", "99999999999999\n"])
def test_a_broken_pid_file(server: PostgresServer, content: str) -> None:
    """A pid file that says nothing sensible does not keep the server from starting."""
    server.kill()
    (server.data / "postmaster.pid").write_text(content)
    server.start()
    assert _ask(server.url, "SELECT 1") == 1


def _forge_pid_file(server: PostgresServer, pid: int) -> None:
    path = server.data / "postmaster.pid"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([str(pid), *lines[1:]]) + "\n")


def test_a_half_made_cluster_is_made_anew(fresh: Path) -> None:
    """What an interrupted initdb left is not taken for a cluster."""
    server = server_in(fresh)
    server.start()
    server.stop()
    shutil.rmtree(server.data / "base")
    server.data.rename(server.data.with_name("data.tmp"))
    server.start()
    assert _ask(server.url, "SELECT 1") == 1
    server.close()


def test_a_long_and_odd_path(folder: Path) -> None:
    """A path too long for a socket, with spaces and quotes in it, works."""
    server = server_in(folder / ('it\'s a "long", path ' * 3) / ("x" * 60))
    server.start()
    assert _ask(server.url, "SELECT 1") == 1
    socket = Path(str(_ask(server.url, "SHOW unix_socket_directories")).strip('"'))
    assert socket.stat().st_mode & 0o777 == 0o700
    server.close()
    stop_embedded(server.folder)
    socket.rmdir()


def test_a_path_with_a_comma(folder: Path) -> None:
    """A comma separates hosts in a connection string: such a path is none for a socket."""
    server = server_in(folder / "a,b")
    server.start()
    assert _ask(server.url, "SELECT 1") == 1
    socket = Path(str(_ask(server.url, "SHOW unix_socket_directories")).strip('"'))
    server.close()
    stop_embedded(server.folder)
    socket.rmdir()


def test_settings_reach_the_server(folder: Path) -> None:
    """A setting given at the start is in force."""
    server = server_in(folder, max_connections="17", search_path='"$user", public')
    server.start()
    assert _ask(server.url, "SHOW max_connections") == "17"
    assert _ask(server.url, "SHOW search_path") == '"$user", public'
    server.close()


def test_a_failed_start_says_why_and_leaves_nothing(folder: Path) -> None:
    """The message has the end of the server's log; no lease is kept; the next start works."""
    server = server_in(folder, shared_buffers="nonsense")
    with pytest.raises(EmbeddedError, match=r"(?s)did not start.*nonsense"):
        server.start()
    wait_for(lambda: not reapers_of(folder))
    good = server_in(folder)
    good.start()
    assert _ask(good.url, "SELECT 1") == 1
    good.close()


def test_a_folder_that_cannot_be(fresh: Path) -> None:
    """A folder below a file is an error that names it and the remedy."""
    (fresh / "file").touch()
    with pytest.raises(EmbeddedError, match="ROLEBOOK_DATA"):
        server_in(fresh / "file" / "data").start()


def test_a_lease_that_cannot_be(folder: Path) -> None:
    """A lock file that cannot be opened is an error that names it, not a bare one of the system."""
    server = server_in(folder)
    lease = folder / str(server.binaries.major) / "lease"
    lease.unlink(missing_ok=True)
    lease.mkdir()
    with pytest.raises(EmbeddedError, match=r"did not start.*lease"):
        server.start()
    lease.rmdir()


@pytest.mark.parametrize("name", ["", "x" * 64, "ä" * 32, "a\0b"])
def test_a_name_that_no_database_can_have(server: PostgresServer, name: str) -> None:
    """An empty or too long name, or one with a NUL, is an error, not another name."""
    with pytest.raises(EmbeddedError, match="A database name has"):
        server.ensure_database(name)


def test_stop_embedded_stops_what_runs(folder: Path) -> None:
    """`stop_embedded` stops a server at once, tells which, and is content when none runs."""
    server = server_in(folder)
    server.start()
    assert stop_embedded(folder) == [server.data]
    assert server.pid is None
    assert stop_embedded(folder) == []
    assert stop_embedded(folder / "nothing") == []
    server.close()


def test_programs_that_the_account_cannot_read(fresh: Path) -> None:
    """As root with programs in a closed folder the server runs from a copy; the folder stays closed."""
    closed = fresh / "closed"
    closed.mkdir(mode=0o700)
    server = PostgresServer(fresh, find_binaries(copied_programs(closed)))
    server.start()
    assert _ask(server.url, "SELECT 1") == 1
    assert (os.geteuid() == 0) == (fresh / str(server.binaries.major) / "programs").exists()
    assert closed.stat().st_mode & 0o777 == 0o700
    server.close()


def test_a_folder_closed_to_the_account(fresh: Path) -> None:
    """As root below a closed folder the error names the account's trouble and the remedy; else it works."""
    closed = fresh / "closed"
    closed.mkdir(mode=0o700)
    server = server_in(closed / "data")
    if os.geteuid() == 0:
        with pytest.raises(EmbeddedError, match=r"cannot enter.*ROLEBOOK_DATA"):
            server.start()
    else:
        server.start()
    server.close()
    stop_embedded(server.folder)
