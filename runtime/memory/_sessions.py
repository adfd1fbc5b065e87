"""The sessions of the in-memory store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import final

import trio
from attrs import define

from rolebook.actors import RolebookError

from ..contract import BadData, CommitResult, CommitUnit, Conflict, Cursor, Fence, Fetched, TurnConflict
from ._tables import Ownership, Tables
from ._transaction import MemoryTransaction


@final
class SessionEnded(RolebookError):
    """The session was ended from outside, as a server ends the session of a frozen process."""


@final
@define(eq=False)
class MemoryFetchSession:
    """Owns partitions for as long as it is open."""

    tables: Tables
    owner: str
    ended: bool = False

    async def prepare(self, queues: Sequence[str]) -> None:
        """Make sure that the queues' partitions can be taken."""
        await self._checkpoint()
        for queue in queues:
            for partition in range(self.tables.partitions):
                self.tables.owners.setdefault((queue, partition), Ownership())

    async def take(self, queues: Sequence[str], held: Sequence[Fence]) -> list[Fence]:
        """Take every free partition of some queues; its epoch is raised as it is taken."""
        await self._checkpoint()
        taken: list[Fence] = []
        for (queue, partition), ownership in self.tables.owners.items():
            if queue in queues and ownership.session is None:
                ownership.session = self
                ownership.epoch += 1
                taken.append(Fence(queue, partition, ownership.epoch))
        return taken

    async def release(self, fences: Sequence[Fence]) -> None:
        """Give partitions back."""
        await self._checkpoint()
        for fence in fences:
            ownership = self.tables.owners[fence.queue, fence.partition]
            if ownership.session is self:
                ownership.session = None

    async def read(self, cursors: Sequence[Cursor], rooms: Sequence[int]) -> Fetched:
        """Read at most `room` rows for each cursor, all in one snapshot."""
        await self._checkpoint()
        tables, now = self.tables, self.tables.time.now()
        rows = [tables.mailbox.read(cursor, room, now) for cursor, room in zip(cursors, rooms, strict=True)]
        return Fetched(tables.snapshot(), now, rows)

    def end(self) -> None:
        """Let go of everything; whatever is asked of it afterwards is an error."""
        self.ended = True
        for ownership in self.tables.owners.values():
            if ownership.session is self:
                ownership.session = None

    async def _checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.ended:
            raise SessionEnded(f"the fetch session of {self.owner!r} has ended")


@final
@define(eq=False)
class MemoryWriteSession:
    """Commits batches."""

    tables: Tables

    async def commit(self, units: Sequence[CommitUnit], rings: Sequence[str]) -> CommitResult:
        """Commit some units in one transaction, or none of them."""
        await trio.lowlevel.checkpoint()
        transaction = MemoryTransaction(self.tables)
        try:
            transaction.send((), (), rings)
            transaction.finish(units)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is the fault of one of the turns
            transaction.roll_back()
            return BadData(error)
        return transaction.commit()


@final
@define(eq=False)
class MemoryListenSession:
    """Hears what rings."""

    inbox: trio.MemoryReceiveChannel[str]
    listening: bool = True

    async def hints(self, rest: float) -> AsyncIterator[str]:
        """Give the hints that arrive within `rest` seconds, to the last one."""
        deadline = trio.current_time() + rest
        while True:
            hint: str | None = None
            with trio.move_on_at(deadline):
                hint = await self.inbox.receive()
            if hint is None:
                return
            yield hint

    async def check(self) -> None:
        """Nothing can break."""
        await trio.lowlevel.checkpoint()

    async def retry(self) -> None:
        """It listens since it was opened."""
        await trio.lowlevel.checkpoint()


@final
@define(eq=False)
class MemoryTurnTransaction:
    """A transaction that a handler asked for."""

    connection: MemoryTransaction

    async def commit(self, unit: CommitUnit) -> None:
        """Commit what the handler sent, its turn's sends and the acknowledgement.

        Raises:
            TurnConflict: Another process has handled the message; nothing was committed.
        """
        await trio.lowlevel.checkpoint()
        self.connection.finish((unit,))
        self.connection.send((), (), sorted({send.queue for send in unit.sends}))
        result = self.connection.commit()
        if isinstance(result, Conflict):
            raise TurnConflict(f"another process has handled the message: {result}")
        if isinstance(result, BadData):
            raise result.error
