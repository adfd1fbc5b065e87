"""A wire that can be cut: a TCP proxy in front of a PostgreSQL server."""

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from math import inf

import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_CHUNK = 65536

Screen = Callable[[bytes], bytes | None]


def _where(url: str) -> tuple[str, int]:
    params = conninfo_to_dict(url)
    return str(params.get("host", "localhost")), int(params.get("port") or 5432)


class Proxy:
    """Forwards TCP connections on 127.0.0.1 to a server, until told to misbehave.

    Attributes:
        url: the database's URL through the proxy.
        links: connections that are being forwarded now.
        accepted: connections taken since the start.
        screen: sees the first bytes of each client; what it answers is sent instead of a connection.
        rate: bytes per second that each link takes from its client.
    """

    def __init__(self, url: str, nursery: trio.Nursery) -> None:
        params = conninfo_to_dict(url)
        self._nursery = nursery
        self._upstream = _where(url)
        self._gate = trio.Event()
        self._gate.set()
        self._links: set[trio.CancelScope] = set()
        self._changed = trio.lowlevel.ParkingLot()
        self._listening: trio.CancelScope | None = None
        self._port = 0
        self._base = make_conninfo("", **{**params, "hostaddr": None})
        self.accepted = 0
        self.screen: Screen | None = None
        self.rate = inf

    @property
    def url(self) -> str:
        return make_conninfo(self._base, host="127.0.0.1", port=self._port)

    @property
    def links(self) -> int:
        return len(self._links)

    async def listen(self) -> None:
        """Take new connections, on the same port as before."""
        (listener,) = await trio.open_tcp_listeners(self._port, host="127.0.0.1")
        if self.rate != inf:  # a slow link has little room on its way
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK)
        self._port = listener.socket.getsockname()[1]
        self._listening = await self._nursery.start(self._serve, listener)

    def cut(self) -> None:
        """Break every link at once; new connections are taken."""
        for link in tuple(self._links):
            link.cancel()

    def point(self, url: str) -> None:
        """Lead new connections to another server, as an address that moves does; links that exist stay."""
        self._upstream = _where(url)

    def freeze(self) -> None:
        """Go dark: what is sent is acknowledged and goes nowhere, and nobody is told. `heal` delivers it."""
        self._gate = trio.Event()

    async def refuse(self) -> None:
        """Refuse new connections, as when nothing listens; links that exist go on."""
        if self._listening is not None:
            self._listening.cancel()
        while self._listening is not None:
            await self._changed.park()

    async def heal(self) -> None:
        """Forward everything again."""
        self._gate.set()
        if self._listening is None:
            await self.listen()

    async def wait_links(self, count: int) -> None:
        """Wait until exactly `count` connections are forwarded."""
        while self.links != count:
            await self._changed.park()

    async def _serve(
        self,
        listener: trio.SocketListener,
        task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with trio.CancelScope() as scope:
            task_status.started(scope)
            await trio.serve_listeners(self._link, [listener], handler_nursery=self._nursery)
        self._listening = None
        self._changed.unpark_all()

    async def _link(self, client: trio.SocketStream) -> None:
        self.accepted += 1
        with trio.CancelScope() as scope:
            self._links.add(scope)
            self._changed.unpark_all()
            try:
                await self._forward(client)
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # one side has gone: so has the link
            finally:
                self._links.discard(scope)
                self._changed.unpark_all()
                await trio.aclose_forcefully(client)

    async def _forward(self, client: trio.SocketStream) -> None:
        await self._gate.wait()
        first = await client.receive_some(_CHUNK) if self.screen else b""
        if self.screen and (answer := self.screen(bytes(first))) is not None:
            await client.send_all(answer)
            return
        async with await self._connect() as server, trio.open_nursery() as nursery:
            await server.send_all(first)

            async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
                try:
                    while data := await source.receive_some(_CHUNK):
                        await self._gate.wait()
                        await sink.send_all(data)
                        if source is client and self.rate != inf:
                            await trio.sleep(len(data) / self.rate)
                    await self._gate.wait()
                except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
                nursery.cancel_scope.cancel()

            nursery.start_soon(pump, client, server)
            nursery.start_soon(pump, server, client)

    async def _connect(self) -> trio.SocketStream:
        host, port = self._upstream
        if not host.startswith("/"):
            return await trio.open_tcp_stream(host, port)
        connection = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        await connection.connect(f"{host}/.s.PGSQL.{port}")
        return trio.SocketStream(connection)


@asynccontextmanager
async def open_proxy(url: str, *, rate: float = inf) -> AsyncGenerator[Proxy]:
    """Run a proxy in front of the server of `url` for the length of a block.

    Args:
        url: of a database.
        rate: bytes per second that each link takes from its client.
    """
    async with trio.open_nursery() as nursery:
        proxy = Proxy(url, nursery)
        proxy.rate = rate
        await proxy.listen()
        yield proxy
        nursery.cancel_scope.cancel()
