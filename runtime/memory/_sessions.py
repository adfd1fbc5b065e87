"""The sessions of the in-memory store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import final

import trio
from attrs import define, field

from rolebook.actors import RolebookError

from ..contract import (
    ALONE,
    MOST_BYTES,
    OWNERS,
    BadData,
    CommitResult,
    CommitUnit,
    Conflict,
    Cursor,
    Elsewhere,
    Fence,
    Fetched,
    Member,
    Outdated,
    Ring,
    Suspect,
    Taken,
    TrialRow,
    TurnConflict,
    Vacancy,
)
from ._mailbox import within_bytes
from ._tables import Joined, OnTrial, Ownership, Tables
from ._transaction import MemoryTransaction


@final
class SessionEnded(RolebookError):
    """The session was ended from outside, as a server ends the session of a frozen process."""


@final
@define(eq=False)
class MemoryFetchSession:
    """Owns partitions for as long as it is open.

    Attributes:
        owner: The name of the process.
        life: Its number.
        nonce: The number of this session.
    """

    tables: Tables
    owner: str
    life: int
    nonce: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.nonce = next(self.tables.session_ids)
        self.tables.sessions.add(self.nonce)

    async def prepare(self, queues: Sequence[str]) -> None:
        """Make sure that the queues' partitions can be taken."""
        await self._checkpoint()
        for queue in queues:
            for partition in range(self.tables.partitions):
                self.tables.owners.setdefault((queue, partition), Ownership())

    async def join(self, queues: Sequence[str]) -> None:
        """Say which queues this process serves, all of them; with none it is no member."""
        await self._checkpoint()
        joined = Joined(self.nonce, self.owner, frozenset(queues))
        self.tables.members[self.life] = joined  # in the place of an earlier session: it keeps its age
        self.tables.bell.ring([OWNERS])

    async def members(self) -> Sequence[Member]:
        """Return the processes that serve queues and whose session lives, the oldest first."""
        await self._checkpoint()
        members, living = self.tables.members, self.tables.sessions
        owners = {ownership.life for ownership in self.tables.owners.values()}
        for life in [life for life, joined in members.items() if joined.nonce not in living]:
            if life not in owners:  # else who takes over wants to know whether it was about to leave
                del members[life]
        return [
            Member(life, joined.process, joined.queues)
            for life, joined in members.items()
            if joined.nonce in living
        ]

    async def vacancies(self, queues: Sequence[str]) -> list[Vacancy]:
        """Return the partitions of some queues that nobody owns."""
        await self._checkpoint()
        found: list[Vacancy] = []
        for (queue, partition), ownership in self.tables.owners.items():
            if queue in queues and self._is_vacant(ownership):
                # Whether the process of a session that ended will come back nobody can say.
                lost = None if ownership.life == self.life else ownership.nonce
                found.append(Vacancy(queue, partition, lost))
        return found

    async def take(self, partitions: Sequence[tuple[str, int]]) -> list[Taken]:
        """Take some partitions, as far as nobody owns them; the epoch of each is raised as it is taken."""
        await self._checkpoint()
        taken: list[Taken] = []
        for place in partitions:
            ownership = self.tables.owners.get(place)
            if ownership is not None and self._is_vacant(ownership):
                died = self._died(place[0], ownership.life)
                self._end_trials(place, accuse=died)
                if died:
                    ownership.careful = self.tables.snapshot()
                ownership.nonce, ownership.life = self.nonce, self.life
                ownership.epoch += 1
                taken.append(Taken(Fence(*place, ownership.epoch, self.nonce), ownership.careful))
        return taken

    def _died(self, queue: str, life: int | None) -> bool:
        """Whether the last owner of a partition died; not if it was about to leave."""
        if life is None or life == self.life:
            return False
        joined = self.tables.members.get(life)
        return joined is None or queue in joined.queues

    def _end_trials(self, place: tuple[str, int], *, accuse: bool) -> None:
        """Suspect what others had on trial."""
        tables, now = self.tables, self.tables.time.now()
        for where in [where for where in tables.trials if where[:2] == place and where[2] != self.life]:
            trial, level = tables.trials.pop(where), where[3]
            took = now - trial.began_at
            counts = int(level == ALONE and took <= trial.lived)
            for id_ in trial.ids if accuse else ():
                _, _, before = tables.suspects.get(id_, (*place, Suspect(0, 0, 0.0)))
                patience = max(before.patience, 2 * took if level == ALONE else 0.0)
                suspect = Suspect(max(before.level, min(level + 1, ALONE)), before.deaths + counts, patience)
                tables.suspects[id_] = (*place, suspect)

    async def suspects(self, ids: Sequence[int]) -> dict[int, Suspect]:
        """Return those of some messages that are suspected of having ended their process."""
        await self._checkpoint()
        known = self.tables.suspects
        return {id_: known[id_][2] for id_ in ids if id_ in known}

    async def begin_trials(self, trials: Sequence[TrialRow]) -> None:
        """Record what is about to begin."""
        await self._checkpoint()
        for (queue, partition, *_), level, ids, lived in trials:
            on_trial = OnTrial(tuple(ids), lived, self.tables.time.now())
            self.tables.trials[queue, partition, self.life, level] = on_trial

    async def end_care(self, fences: Sequence[Fence]) -> None:
        """What was to be begun with care is through."""
        await self._checkpoint()
        for fence in fences:
            ownership = self.tables.owners[fence.queue, fence.partition]
            if ownership.nonce == self.nonce and ownership.epoch == fence.epoch:
                ownership.careful = None
                self._acquit(fence)
                for id_ in [id_ for id_, known in self.tables.suspects.items() if known[:2] == fence[:2]]:
                    del self.tables.suspects[id_]

    def _acquit(self, fence: Fence) -> None:
        for level in range(ALONE + 1):
            self.tables.trials.pop((fence.queue, fence.partition, self.life, level), None)

    def _is_vacant(self, ownership: Ownership) -> bool:
        if ownership.nonce is None:
            return True
        lives = ownership.nonce in self.tables.sessions
        return not lives or (ownership.life == self.life and ownership.nonce != self.nonce)

    async def release(self, fences: Sequence[Fence]) -> list[Fence]:
        """Give partitions back; no commit holds one up."""
        await self._checkpoint()
        for fence in fences:
            ownership = self.tables.owners[fence.queue, fence.partition]
            if ownership.nonce == self.nonce:
                ownership.nonce = ownership.life = None
                self._acquit(fence)
        self.tables.bell.ring([OWNERS])
        return []

    async def read(
        self, cursors: Sequence[Cursor], rooms: Sequence[int], most_bytes: int = MOST_BYTES
    ) -> Fetched:
        """Read at most `room` rows for each cursor, and so many bytes of all, in one snapshot."""
        await self._checkpoint()
        tables, now = self.tables, self.tables.time.now()
        rows = [tables.mailbox.read(cursor, room, now) for cursor, room in zip(cursors, rooms, strict=True)]
        return Fetched(tables.snapshot(), now, *within_bytes(rows, most_bytes))

    async def stay_awake(self) -> bool:
        """Say that this process looks by itself for now."""
        await self._checkpoint()
        self.tables.awake.add(self.nonce)
        return True

    async def fall_asleep(self) -> None:
        """Say that this process is to be woken again."""
        await self._checkpoint()
        self.tables.awake.discard(self.nonce)

    def end(self) -> None:
        """Let go of everything; whatever is asked of it afterwards is an error."""
        self.tables.sessions.discard(self.nonce)
        self.tables.awake.discard(self.nonce)

    async def _checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.nonce not in self.tables.sessions:
            raise SessionEnded(f"the fetch session of {self.owner!r} has ended")


@final
@define(eq=False)
class MemoryWriteSession:
    """Commits batches."""

    tables: Tables

    async def commit(
        self, units: Sequence[CommitUnit], rings: Sequence[Ring], nonce: int | None
    ) -> CommitResult:
        """Commit some units in one transaction, or none of them."""
        await trio.lowlevel.checkpoint()
        transaction = MemoryTransaction(self.tables, nonce)
        try:
            transaction.send((), (), rings)
            transaction.finish(units)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is the fault of one of the turns
            transaction.roll_back()
            return BadData(error)
        return transaction.commit()

    async def renew(self) -> None:
        """There is one server only."""
        await trio.lowlevel.checkpoint()


@final
@define(eq=False)
class MemoryListenSession:
    """Hears what rings."""

    tables: Tables
    inbox: trio.MemoryReceiveChannel[str]
    listening: bool = True
    nonce: int | None = None

    async def prove(self) -> int:
        """Take a number that is known for as long as this session lives."""
        await trio.lowlevel.checkpoint()
        self.nonce = next(self.tables.session_ids)
        self.tables.sessions.add(self.nonce)
        return self.nonce

    def end(self) -> None:
        """Nothing is proved by it any more."""
        if self.nonce is not None:
            self.tables.sessions.discard(self.nonce)

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

    def was_cut(self, error: Exception) -> bool:
        """There is no link."""
        del error
        return False

    async def commit(self, unit: CommitUnit) -> None:
        """Commit what the handler sent, its turn's sends and the acknowledgement.

        Raises:
            TurnConflict: Another process has handled the message; nothing was committed.
            Elsewhere: The session that the turn stands on has ended; nothing was committed.
        """
        await trio.lowlevel.checkpoint()
        self.connection.nonce = None if unit.fence is None else unit.fence.nonce
        self.connection.finish((unit,))
        self.connection.send((), (), sorted({(send.queue, send.partition) for send in unit.sends}))
        result = self.connection.commit()
        if isinstance(result, Conflict) and result.elsewhere:
            raise Elsewhere("the session that this turn stands on has ended")
        if isinstance(result, Outdated | Conflict):
            raise TurnConflict(f"another process has handled the message: {result}")
        if isinstance(result, BadData):
            raise result.error
