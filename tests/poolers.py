"""PgBouncer in front of the tests' server: a real process, on a socket of its own.

Two of them are tried: the distribution's, and one that keeps track of prepared statements (1.22 or newer), which
may be the same. `tools/install-pgbouncer` installs both. Without them the tests fail: they are never skipped.
"""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal, final

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.waiting import eventually

ROOT = Path(__file__).parent.parent
BUILT = ROOT / ".venv" / "pgbouncer" / "pgbouncer"
"""Where `tools/install-pgbouncer` puts the newer one."""

REMEDY = "run tools/install-pgbouncer (on Debian, as root), or install PgBouncer 1.22 or newer"

PREPARES_SINCE = (1, 22)
"""1.21 keeps prepared statements, and loses them at a DEALLOCATE ALL, which psycopg sends after a rollback."""

OPTIONS_SINCE = (1, 20)
"""From here on the startup parameter `options` is taken apart; before, it is refused or ignored as a whole."""

PoolMode = Literal["session", "transaction", "statement"]


@final
@attrs.frozen
class Pooler:
    """A running PgBouncer.

    Attributes:
        url: The database through it.
        log: What it says.
        process: It.
    """

    url: str
    log: Path
    process: subprocess.Popen[bytes]


@final
@attrs.frozen
class Program:
    """An installed PgBouncer."""

    path: str
    version: tuple[int, ...]


@functools.cache
def programs() -> tuple[Program, Program]:
    """The oldest and the newest PgBouncer that are installed; of the newest, prepared statements are asked.

    Raises:
        AssertionError: There is none that is new enough.
    """
    places = [str(BUILT), shutil.which("pgbouncer"), "/usr/sbin/pgbouncer"]
    found = [Program(place, _version(place)) for place in places if place and Path(place).exists()]
    found.sort(key=lambda program: program.version)
    assert found, f"no PgBouncer on this machine: {REMEDY}"
    assert found[-1].version >= PREPARES_SINCE, f"PgBouncer {found[-1].version} is too old: {REMEDY}"
    return found[0], found[-1]


def _version(path: str) -> tuple[int, ...]:
    said = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout
    numbers = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    assert numbers is not None, said
    return int(numbers[1]), int(numbers[2])


@asynccontextmanager
async def open_pooler(
    url: str,
    *,
    mode: PoolMode = "transaction",
    servers: int = 1,
    prepares: bool = False,
    old: bool = False,
    **settings: object,
) -> AsyncGenerator[Pooler]:
    """Run a PgBouncer in front of a database.

    Args:
        url: The database.
        mode: When a backend goes from one client to another.
        servers: How many connections to the server it may have.
        prepares: Whether it keeps track of prepared statements.
        old: Whether to take the oldest program there is.
        **settings: More of its settings.
    """
    program = programs()[0 if old else 1]
    assert not (prepares and program.version < PREPARES_SINCE)
    tracked = {"max_prepared_statements": 50 if prepares else 0} if program.version >= (1, 21) else {}
    target = conninfo_to_dict(url)
    account = _account(str(target.get("host", "")))
    with _folder(account) as folder:
        config = {
            "listen_addr": "",
            "unix_socket_dir": folder,
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": servers,
            "max_client_conn": 200,
            "log_connections": 0,
            "log_disconnections": 0,
            **tracked,
            **settings,
        }
        lines = [
            "[databases]",
            f"* = {make_conninfo('', **_upstream(target))}",
            "[pgbouncer]",
            *(f"{k} = {v}" for k, v in config.items()),
        ]
        path, log = folder / "pgbouncer.ini", folder / "log"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        if account is not None:
            shutil.chown(path, *account)
        pooled = make_conninfo(
            "", host=str(folder), port=6432, user=target.get("user", ""), dbname=target.get("dbname", "")
        )
        as_whom = {} if account is None else {"user": account[0], "group": account[1], "extra_groups": []}
        with log.open("wb") as out:
            process = subprocess.Popen([program.path, str(path)], stdout=out, stderr=out, **as_whom)
        try:
            await eventually(lambda: process.poll() is not None or (folder / ".s.PGSQL.6432").exists())
            assert process.poll() is None, log.read_text()
            yield Pooler(pooled, log, process)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _upstream(target: dict[str, object]) -> dict[str, object]:
    """What PgBouncer understands of a connection string; the database is the one that is asked for."""
    kept = {name: target[name] for name in ("host", "port", "user", "password") if target.get(name)}
    return kept


def _account(socket_folder: str) -> tuple[int, int] | None:
    """Who may enter the server's socket and is not root, as whom PgBouncer refuses to run; None: as we are."""
    if os.geteuid() != 0:
        return None
    if socket_folder.startswith("/"):
        owner = Path(socket_folder).stat()
        if owner.st_uid != 0:
            return owner.st_uid, owner.st_gid
    return 65534, 65534


@contextmanager
def _folder(account: tuple[int, int] | None) -> Iterator[Path]:
    """A folder with a short name, for the socket."""
    folder = Path(tempfile.mkdtemp(prefix="rolebook-", dir="/tmp"))
    folder.chmod(0o755)
    if account is not None:
        os.chown(folder, *account)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
