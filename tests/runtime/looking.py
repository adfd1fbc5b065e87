"""What the tests ask the database behind the runtime's back."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from attrs import frozen

from rolebook.runtime.postgres import Connection
from tests.waiting import WITHIN, eventually

_NOTHING_LEFT: LiteralString = (
    "select not exists (select from pg_stat_activity where datname = current_database()"
    " and pid <> pg_backend_pid())"
    " and not exists (select from pg_locks l join pg_database d on d.oid = l.database"
    " where d.datname = current_database() and l.locktype = 'advisory')"
)

# It asks slowly: these questions are counted as well.
_TOLD: LiteralString = (
    "select count(*) > 0 from pg_sleep(0.05), pg_stat_user_tables where relname = 'told' and n_tup_ins > 0"
)


@frozen
class Looking:
    """A connection that looks into the database of a test."""

    connection: Connection[Any]

    async def rows(self, query: LiteralString, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return what a query gives."""
        answer = await self.connection.execute(query, parameters or None)
        return await answer.fetchall()

    async def value(self, query: LiteralString, *parameters: Any) -> Any:
        """Return the one value a query gives."""
        rows = await self.rows(query, *parameters)
        assert len(rows) == 1, query
        return rows[0][0]

    async def do(self, query: LiteralString, *parameters: Any) -> int:
        """Run a statement, and return how many rows it touched."""
        return (await self.connection.execute(query, parameters or None)).rowcount

    async def until(self, query: LiteralString, *parameters: Any, within: float = WITHIN) -> None:
        """Ask until the one value of a query is true."""

        async def asked() -> Any:
            return await self.value(query, *parameters)

        await eventually(asked, within=within)

    async def owned(self, queues: int = 1) -> None:
        """Wait until whoever is there has taken all partitions of so many queues."""
        await self.until(
            "select count(*) = %s * (select partitions from rolebook.meta)"
            " from rolebook.partitions where owner is not null",
            queues,
        )

    async def mailbox(self, queue: str) -> int:
        """Return how many messages are in a mailbox."""
        found = await self.value("select count(*) from rolebook.messages where queue = %s", queue)
        return int(found)

    async def journal(self, actor: str, key: str) -> list[int]:
        """Return the numbers that a diary wrote down, in order."""
        rows = await self.rows(
            "select (payload ->> 'number')::int from rolebook.events"
            " where actor = %s and key = %s order by seq",
            actor,
            key,
        )
        return [number for (number,) in rows]

    async def sessions(self, role: str) -> list[int]:
        """Return the backends of the runtime's sessions with a role, such as "writer"."""
        rows = await self.rows(
            "select pid from pg_stat_activity where datname = current_database()"
            " and application_name like 'rolebook %% ' || %s order by backend_start",
            role,
        )
        return [pid for (pid,) in rows]

    async def terminate(self, role: str) -> int:
        """End the backends of the runtime's sessions with a role; return how many."""
        rows = await self.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and application_name like 'rolebook %% ' || %s",
            role,
        )
        return len(rows)

    async def counted(self) -> None:
        """Wait until the server's counts hold all that sessions did which have ended by now.

        It counts late, before 15 even what they did; but what we do now it counts after that.
        """
        await self.do("drop table if exists pg_temp.told")
        await self.do("create temp table told as select 1")
        await self.until(_TOLD)

    async def is_empty(self) -> bool:
        """Say whether there is no other session and no advisory lock in this database."""
        return bool(await self.value(_NOTHING_LEFT))

    async def nothing_left(self) -> None:
        """Wait until the runtime has left no session and no advisory lock in this database."""
        await self.until(_NOTHING_LEFT)


@asynccontextmanager
async def looking_at(url: str) -> AsyncGenerator[Looking]:
    """Look into a database for the length of a block."""
    async with await Connection.connect(url, autocommit=True) as connection:
        yield Looking(connection)
