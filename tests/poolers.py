"""PgBouncer in front of the tests' server: a real process, on a socket of its own.

Two of them are tried: the distribution's, and one that keeps prepared statements, which may be the same.
`tools/install-pgbouncer` installs both. Without them the tests fail: they are never skipped.
"""

import atexit
import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal, final

import attrs
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.waiting import eventually

BUILT = Path(__file__).parent.parent / ".venv" / "pgbouncer" / "pgbouncer"
"""Where `tools/install-pgbouncer` puts the newer one."""

REMEDY = "run tools/install-pgbouncer (on Debian, as root), or install PgBouncer 1.22 or newer"

PREPARES_SINCE = (1, 22)
"""1.21 keeps statements, and loses them at a DEALLOCATE ALL, which psycopg sends after a rollback."""

_COUNTS_STATEMENTS_SINCE = (1, 21)
_PORT = 6432  # the name of a socket; nothing else is in its folder
_NOBODY = (65534, 65534)

PoolMode = Literal["session", "transaction", "statement"]
Account = tuple[int, int]


@final
@attrs.frozen
class Pooler:
    """A running PgBouncer.

    Attributes:
        url: The database through it.
        version: Of the program.
    """

    url: str
    version: tuple[int, ...]


@final
@attrs.frozen
class Program:
    """An installed PgBouncer."""

    path: str
    version: tuple[int, ...]


@final
@attrs.frozen
class Kind:
    """What there is to try.

    Attributes:
        servers: How many connections to the server it may have.
        old: Whether it is the oldest program there is.
        prepares: Whether it keeps prepared statements.
    """

    servers: int
    old: bool = False
    prepares: bool = False

    def __str__(self) -> str:
        age, able = "old" if self.old else "new", "prepares" if self.prepares else "plain"
        return f"{age}-{able}-{self.servers}"


KINDS = (Kind(1, old=True), Kind(3, old=True), Kind(3), Kind(1, prepares=True), Kind(3, prepares=True))


@functools.cache
def programs() -> tuple[Program, Program]:
    """The oldest and the newest PgBouncer that are installed; the newest keeps prepared statements.

    Raises:
        AssertionError: There is none, or none that is new enough.
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
    url: str, kind: Kind, mode: PoolMode = "transaction", **more: object
) -> AsyncGenerator[Pooler]:
    """Run a PgBouncer in front of a database.

    Args:
        url: The database.
        kind: Of which kind.
        mode: When a backend goes from one client to another.
        **more: Settings of PgBouncer.
    """
    program = programs()[0 if kind.old else 1]
    target = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    account = _account(target.get("host", ""))
    with _folder(account) as folder:
        settings = {
            "unix_socket_dir": folder,
            "pool_mode": mode,
            "default_pool_size": kind.servers,
            **_statements(program, prepares=kind.prepares),
            **more,
        }
        config = _configure(folder, target, settings, account)
        with _running(program, config, account) as process:
            await eventually(lambda: process.poll() is not None or _accepts(folder))
            assert process.poll() is None, (folder / "log").read_text()
            here = {"host": folder, "port": _PORT, "user": target.get("user"), "dbname": target.get("dbname")}
            yield Pooler(make_conninfo("", **{k: str(v) for k, v in here.items() if v}), program.version)


def _accepts(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(folder / f".s.PGSQL.{_PORT}")) == 0


def _statements(program: Program, *, prepares: bool) -> dict[str, object]:
    if program.version < _COUNTS_STATEMENTS_SINCE:
        assert not prepares
        return {}
    return {"max_prepared_statements": 50 if prepares else 0}


def _configure(
    folder: Path, target: dict[str, str], settings: dict[str, object], account: Account | None
) -> Path:
    server = {name: target[name] for name in ("host", "port", "user", "password") if target.get(name)}
    fixed = {"listen_addr": "", "auth_type": "any", "log_connections": 0, "log_disconnections": 0}
    lines = [f"{name} = {value}" for name, value in {**fixed, **settings}.items()]
    path = folder / "pgbouncer.ini"
    path.touch(0o600)  # it may hold a password
    path.write_text("\n".join(["[databases]", f"* = {make_conninfo('', **server)}", "[pgbouncer]", *lines]))
    if account is not None:
        os.chown(path, *account)
    return path


@contextmanager
def _running(program: Program, config: Path, account: Account | None) -> Generator["subprocess.Popen[bytes]"]:
    user, group = account or (None, None)
    groups = None if account is None else ()
    path = config.parent / "pgbouncer"
    shutil.copy(program.path, path)  # whoever may run it need not be able to enter our folders
    with (config.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            [path, config], stdout=log, stderr=log, user=user, group=group, extra_groups=groups
        )
    atexit.register(process.kill)  # a test that ran out of time does not come to the end of this block
    try:
        yield process
    finally:
        process.kill()  # an orderly end waits for its clients
        process.wait()


def _account(place: str) -> Account | None:
    """Who is not root, as whom PgBouncer refuses to run, and may enter the server's folder; or we."""
    if os.geteuid() != 0:
        return None
    if place.startswith("/") and (owner := Path(place).stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    return _NOBODY


@contextmanager
def _folder(account: Account | None) -> Generator[Path]:
    """A folder with a short name, for the socket."""
    folder = Path(tempfile.mkdtemp(prefix="rolebook-", dir="/tmp"))
    folder.chmod(0o755)
    if account is not None:
        os.chown(folder, *account)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
