"""The session that listens: two channels, short rounds, and a health check that proves something."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import psycopg
import trio
from attrs import define
from psycopg import sql

from ._arrays import texts
from ._connection import Connection

_log = logging.getLogger("rolebook.listener")


class Deaf(psycopg.OperationalError):
    """The server no longer knows that we listen: the session must be opened anew."""


@define(eq=False)
class PostgresListenSession:
    """One autocommit connection that does nothing but listen."""

    connection: Connection
    channels: Sequence[str]
    deadline: float
    begin: Callable[[Connection], Awaitable[int]]
    _listening: bool = False

    @property
    def listening(self) -> bool:
        """Whether notifications can arrive; False means: polling only."""
        return self._listening

    async def prove(self) -> int:
        """Take a number by which commits prove that they run where this session lives."""
        return await self.begin(self.connection)

    async def retry(self) -> None:
        """Try to listen.

        A server that refuses (a pooler in between, no permission) leaves the
        session in polling; a broken link raises.
        """
        listen = [sql.SQL("listen {}").format(sql.Identifier(channel)) for channel in self.channels]
        try:
            with trio.fail_after(self.deadline):
                for each in listen:
                    await self.connection.execute(each)
                self._listening = await self._channels_are_ours()
        except psycopg.Error:
            if self.connection.closed:
                raise
            self._listening = False

    async def hints(self, rest: float) -> AsyncIterator[str]:
        """Give the notifications that arrive within `rest` seconds, to the last one."""
        async for notify in self.connection.notifies(timeout=rest):
            yield notify.payload

    async def check(self) -> None:
        """Make a round trip that proves that the server still notifies us.

        `select 1` would not: behind a proxy that answers for a dead peer, or
        after a pooler gave the session another backend, it says nothing.

        Raises:
            Deaf: If the server does not list our channels, or does not answer in time.
        """
        ours, silent = True, False

        async def lose_patience() -> None:
            nonlocal silent
            await trio.sleep(self.deadline)
            silent = True
            await (
                self.connection.close()
            )  # a cancellation would ask the silent server, and wait for its answer

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose_patience)
            try:
                ours = await self._channels_are_ours()
            except psycopg.Error as error:
                failure: psycopg.Error | None = error
            else:
                failure = None
            nursery.cancel_scope.cancel()
        if silent:
            raise Deaf(f"no answer to the health check within {self.deadline:g} s")
        if failure is not None:
            raise failure
        if self._listening and not ours:
            raise Deaf(f"the server does not list channel {self.channels[0]!r} for this session any more")

    async def _channels_are_ours(self) -> bool:
        answer = await self.connection.execute(
            "select array(select pg_listening_channels()) @> %s::text[]", (texts(self.channels),)
        )
        row = await answer.fetchone()
        return row is not None and bool(row[0])


def channel_of(life: int) -> str:
    """Return the channel on which one process is woken; the SQL function `ring_owners` names it so too."""
    return f"rb_{life:x}"
