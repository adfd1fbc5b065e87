"""A bed of two servers, `a` and `b`: a primary and its standby, to be hurt, exchanged, set at odds.

To make a cluster takes seconds, so it is made once and copied. A standby is a second copy of it: two copies
of one stopped server are the same server, and the standby reads from the primary what happened since.
"""

import atexit
import functools
import socket
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from random import SystemRandom
from typing import Final

import psycopg
import trio
from attrs import define, field

from tests.waiting import eventually

from .installation import Installation
from .server import DATABASE, Server, copy_data

_SENT_TO: Final = (
    "select sync_state from pg_stat_replication where application_name = %s and state = 'streaming'"
)

aside = trio.to_thread.run_sync
"""What blocks goes into a thread: the runtime of the test goes on meanwhile."""


@define(eq=False)
class Cluster:
    """Two servers; at the start `a` is the primary, and `b` its standby.

    Attributes:
        primary: The one that is right now.
        url: Both servers, `a` first.
    """

    a: Server
    b: Server
    primary: Server = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.primary = self.a

    @property
    def url(self) -> str:
        return self.url_of(self.a, self.b)

    def url_of(self, *servers: Server) -> str:
        """A URL of several servers in this order."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        return f"postgresql://postgres@{hosts}/{DATABASE}"

    @property
    def servers(self) -> tuple[Server, Server]:
        return self.a, self.b

    # ---- replication ----

    async def caught_up(self, standby: Server, primary: Server) -> None:
        """Wait until the standby shows all that the primary has written by now."""
        target = await aside(primary.value, "select pg_current_wal_flush_lsn()")

        async def shown() -> bool:
            behind = "select coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)"
            return bool(await aside(standby.value, behind, target))

        await eventually(shown)

    async def streaming(self, primary: Server, standby: Server) -> None:
        """Wait until the primary sends to the standby, and counts on it if it is told to."""

        async def sends() -> bool:
            states = [state for (state,) in await aside(primary.ask, _SENT_TO, standby.name)]
            names = await aside(primary.value, "show synchronous_standby_names")
            return states == (["sync"] if names else ["async"])

        await eventually(sends)

    async def cut(self, standby: Server) -> None:
        """Cut the standby off: it gets nothing more, and still answers."""
        await aside(lambda: standby.configure(primary_conninfo=""))

        async def alone() -> bool:
            return not await aside(standby.ask, "select from pg_stat_wal_receiver")

        await eventually(alone)

    async def mend(self, standby: Server, primary: Server) -> None:
        """Let a standby that was cut off follow again, and wait until it does."""
        await aside(standby.follow, primary)
        await self.streaming(primary, standby)

    async def replace(self, new: Server) -> None:
        """Fail over to the standby, whatever it lacks: it is the primary now. The old one is not asked."""
        await aside(new.promote)
        await self.returned(new)
        self.primary = new

    async def returned(self, server: Server) -> None:
        """Wait until a server takes connections, and writes."""
        await eventually(lambda: aside(_takes_writes, server))

    async def return_as_standby(self, old: Server, new: Server) -> None:
        """Bring the old primary back as a standby of the new one, without what the new one does not have."""
        await aside(old.rewind, new)
        await aside(old.follow, new)
        await aside(old.start)
        await self.streaming(new, old)


def _takes_writes(server: Server) -> bool:
    with suppress(psycopg.OperationalError):
        return not server.is_standby()
    return False


@asynccontextmanager
async def open_cluster(
    settings: Mapping[str, str] | None = None, *, standby: bool = True, synchronous: bool = False
) -> AsyncGenerator[Cluster]:
    """Run a primary, and its standby, for the length of a block; nothing is left of them.

    Args:
        settings: Of both servers.
        standby: Whether `b` is started.
        synchronous: Whether a commit of `a` waits until `b` has it.
    """
    with _servers(settings or {}) as (a, b):
        cluster = Cluster(a, b)
        await aside(a.start)
        if standby:
            b.follow(a)
            await aside(b.start)
            if synchronous:
                await aside(lambda: a.configure(synchronous_standby_names=b.name))
            await cluster.streaming(a, b)
        yield cluster


@contextmanager
def _servers(settings: Mapping[str, str]) -> Generator[tuple[Server, Server]]:
    tools = _template()
    servers: list[Server] = []
    for name in ("a", "b"):
        number = next(_numbers)
        server = Server(name, _free_port(), tools.room(f"{name}{number}"), tools, dict(settings))
        copy_data(tools.folder / "template", server.data)
        servers.append(server)
    a, b = servers
    try:
        yield a, b
    finally:
        for server in servers:
            server.kill()
            tools.account.run(["/bin/rm", "-rf", server.room], cwd=tools.folder)


_numbers = iter(range(1_000_000))


@functools.cache
def _template() -> Installation:
    """Make the cluster that all are copied from; removed when the tests end."""
    tools = Installation.prepare()
    atexit.register(tools.remove)
    data = tools.room("template")
    tools.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-locale", "-E", "UTF8", "-N")
    return tools


def _free_port() -> int:
    """Draw a port below those that the system gives to clients.

    One of theirs might be a client's when its server wants it back after a kill, or even connect to itself.
    """
    while True:
        port = SystemRandom().randrange(20_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
