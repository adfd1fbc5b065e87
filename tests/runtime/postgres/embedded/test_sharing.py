"""Several processes and one server: who starts it, who stops it, and what a kill leaves."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from rolebook.runtime.postgres.embedded._locks import FileLock

from .support import cluster_state, held_programs, reapers_of, server_in, user_of, wait_for


def test_processes_that_start_together_share_one_server(fresh: Path) -> None:
    """Three processes on a fresh folder at the very same time: one makes the cluster, all use one server."""
    with user_of(fresh) as one, user_of(fresh) as two, user_of(fresh) as three:
        users = [one, two, three]
        for user in users:
            user.go()
        assert len({user.hear() for user in users}) == 1
        assert len(reapers_of(fresh)) == 1
        for user in users:
            user.close()


def test_the_server_stays_as_long_as_somebody_uses_it(folder: Path) -> None:
    """It outlives the process that started it, and is shut down cleanly after the last user."""
    server = server_in(folder)
    with user_of(folder) as first, user_of(folder) as second:
        pid = first.open()
        assert second.open() == pid
        first.kill()
        server.start()
        assert server.pid == pid
        second.close()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    server.close()
    wait_for(lambda: server.pid is None and not reapers_of(folder))
    assert cluster_state(server) == "shut down"


def test_a_killed_owner_leaves_a_cleanly_stopped_server(folder: Path) -> None:
    """After a SIGKILL of the only user and its whole process group, the server is shut down cleanly."""
    server = server_in(folder)
    with user_of(folder) as owner:
        assert owner.open() == server.pid
        owner.kill()
    wait_for(lambda: server.pid is None and not reapers_of(folder))
    assert cluster_state(server) == "shut down"


def test_a_newcomer_within_the_grace_keeps_the_server(folder: Path) -> None:
    """A user that comes right after the last one left finds the same server, and keeps it."""
    server = server_in(folder)
    server.start()
    pid = server.pid
    server.close()
    server.start()
    with user_of(folder) as late:
        assert late.open() == pid
        late.close()
    assert server.pid == pid
    server.close()


def test_a_killed_reaper_is_replaced(folder: Path) -> None:
    """If the reaper itself is killed, the next user brings a new one, which does the duty."""
    server = server_in(folder)
    server.start()
    (reaper,) = reapers_of(folder)
    os.kill(reaper, signal.SIGKILL)
    wait_for(lambda: not reapers_of(folder))
    with user_of(folder) as user:
        assert user.open() == server.pid
        assert len(reapers_of(folder)) == 1
        user.close()
    server.close()
    wait_for(lambda: server.pid is None)
    assert cluster_state(server) == "shut down"


def test_an_owner_killed_while_it_makes_the_cluster(fresh: Path) -> None:
    """A SIGKILL in the middle of initdb: the next user waits for its end and makes a whole cluster."""
    server = server_in(fresh)
    with user_of(fresh) as owner:
        owner.go()
        wait_for((server.data.parent / "data.tmp" / "base").exists)
        owner.kill()
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.close()


def test_an_owner_killed_while_the_server_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SIGKILL while the server is on its way: nobody else starts or stops one before it has come up."""
    monkeypatch.setenv("ROLEBOOK_TEST_PG_BIN", os.fspath(held_programs(folder)))
    server = server_in(folder)
    lock = FileLock(folder / str(server.binaries.major) / "start.lock")
    with user_of(folder) as owner:
        owner.go()
        wait_for((server.data.parent / "waiting").exists)
        owner.kill()
    assert not lock.try_take()
    (server.data.parent / "go").touch()
    wait_for(lambda: not reapers_of(folder))
    assert "ready to accept connections" in server.log.read_text()
    assert server.pid is None
    assert cluster_state(server) == "shut down"
    assert lock.try_take()
    lock.close()
