"""The session that owns partitions and reads the mailbox."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import SystemRandom
from typing import Any

from attrs import define, field

from ..contract import (
    MOST_BYTES,
    OWNERS,
    Cursor,
    Fence,
    Fetched,
    FetchedRow,
    Member,
    Snapshot,
    Suspect,
    Taken,
    TrialRow,
    Vacancy,
)
from ._arrays import nullable_texts, numbers, texts
from ._connection import Connection
from ._statements import Statements

_LOCK_BITS = 62
"""Of a random number that is the key of an advisory lock."""

SMALL = 2048
"""Bytes that a row has at most as long as none has any out of line."""

_NO_LIMIT = 2**64 - 1
"""The highest transaction id: no window is open."""


@define(eq=False)
class PostgresFetchSession:
    """One connection that holds one advisory lock: what it owns is free when it closes.

    While it is awake it holds a second one, of `~nonce`: see `ring_owners`.

    What senders may have missed (a take, and that this process fell asleep) is followed by a transaction that
    does nothing but take an id. A snapshot names those that run only below the newest id that has ended. Now
    that is newer than any of these senders', and the next look names them all.

    Attributes:
        owner: The name of the process.
        life: Its number.
        nonce: The number of this session, which is in the row of each partition that it owns.
    """

    connection: Connection
    statements: Statements
    owner: str
    life: int
    nonce: int
    _queues: dict[int, frozenset[str]] = field(factory=dict[int, frozenset[str]])
    _has_large: bool = True  # until a look says that there are none

    async def prepare(self, queues: Sequence[str]) -> None:
        """Make sure that the queues' partitions have their rows."""
        await self.connection.execute(self.statements["add_partitions"], (texts(queues),))

    async def join(self, queues: Sequence[str]) -> None:
        """Say which queues this process serves, all of them; with none it is no member."""
        member = (self.life, self.nonce, self.owner, texts(queues))
        await self.connection.execute(self.statements["join"], member)
        await self._announce()

    async def members(self) -> Sequence[Member]:
        """Return the processes that serve queues and whose session lives, the oldest first."""
        answer = await self.connection.execute(
            self.statements["members"], (self.life, numbers(list(self._queues)))
        )
        rows = await answer.fetchall()
        self._queues = {
            revision: self._queues[revision] if queues is None else frozenset(queues)
            for _, _, revision, queues in rows
        }
        return [Member(life, process, self._queues[revision]) for life, process, revision, _ in rows]

    async def vacancies(self, queues: Sequence[str]) -> list[Vacancy]:
        """Return the partitions of some queues that nobody owns."""
        answer = await self.connection.execute(
            self.statements["vacancies"], (texts(queues), self.life, self.nonce, self.nonce)
        )
        return [
            Vacancy(queue, partition, lost)
            for queue, partitions, lost in await answer.fetchall()
            for partition in partitions
        ]

    async def take(self, partitions: Sequence[tuple[str, int]]) -> list[Taken]:
        """Take some partitions, as far as nobody owns them; the epoch of each is raised as it is taken."""
        nonce, life = self.nonce, self.life
        us = (nonce, life, nonce, life, life, nonce, life, self.owner)
        taken = await self.connection.execute(
            self.statements["take_partitions"],
            (texts([queue for queue, _ in partitions]), numbers([place for _, place in partitions]), *us),
        )
        rows = await taken.fetchall()
        if rows:
            await self.connection.execute("select pg_current_xact_id()")
        return [
            Taken(Fence(*fence), None if careful is None else Snapshot.parse(careful))
            for *fence, careful in rows
        ]

    async def suspects(self, ids: Sequence[int]) -> dict[int, Suspect]:
        """Return those of some messages that are suspected of having ended their process."""
        answer = await self.connection.execute(self.statements["suspects"], (numbers(ids),))
        return {id_: Suspect(*known) for id_, *known in await answer.fetchall()}

    async def begin_trials(self, trials: Sequence[TrialRow]) -> None:
        """Record what is about to begin."""
        await self.connection.execute(
            self.statements["begin_trials"],
            (
                self.life,
                texts([trial.fence.queue for trial in trials]),
                numbers([trial.fence.partition for trial in trials]),
                numbers([trial.level for trial in trials]),
                texts([numbers(trial.ids) for trial in trials]),
                "{" + ",".join(str(trial.lived) for trial in trials) + "}",
            ),
        )

    async def end_care(self, fences: Sequence[Fence]) -> None:
        """What was to be begun with care is through."""
        await self.connection.execute(self.statements["end_care"], (*_fence_columns(fences), self.nonce))

    async def release(self, fences: Sequence[Fence]) -> list[Fence]:
        """Give partitions back; returns those that are held up by a commit under way."""
        answer = await self.connection.execute(
            self.statements["release_partitions"],
            (*_fence_columns(fences), self.nonce, self.life),
        )
        released = set(await answer.fetchall())
        await self._announce()
        return [fence for fence in fences if (fence.queue, fence.partition) not in released]

    async def _announce(self) -> None:
        await self.connection.execute(self.statements["ring"], (OWNERS,))

    async def read(
        self, cursors: Sequence[Cursor], rooms: Sequence[int], most_bytes: int = MOST_BYTES
    ) -> Fetched:
        """Read at most `room` rows for each cursor, and so many bytes of all, in one snapshot."""
        lanes = len(cursors)
        if not self._has_large:
            fitting = fit(rooms, most_bytes // SMALL)
            found = await self._fetch("fetch", fetch_parameters(cursors, fitting))
            if not self._has_large:
                return _fetched(found, lanes, fitting if fitting is not rooms else (), large=False)
        found = await self._fetch("fetch_large", (*fetch_parameters(cursors, rooms), str(most_bytes)))
        return _fetched(found, lanes)

    async def _fetch(self, statement: str, given: tuple[str, ...]) -> list[Any]:
        """Read by one of the two statements; note whether there may be large messages."""
        answer = await self.connection.execute(self.statements[statement], given)
        found = await answer.fetchall()
        self._has_large = found[0][8] is not None
        return found

    async def stay_awake(self) -> bool:
        """Say that this process looks by itself for now; not while somebody asks whether it does."""
        # Tried, never waited for: to who sends, somebody who waits for the lock would look like its holder.
        answer = await self.connection.execute("select pg_try_advisory_lock(%s)", (~self.nonce,))
        row = await answer.fetchone()
        return row is not None and bool(row[0])

    async def fall_asleep(self) -> None:
        """Say that this process is to be woken again."""
        await self.connection.execute(
            "select case when pg_advisory_unlock(%s) then pg_current_xact_id() end", (~self.nonce,)
        )


def fit(rooms: Sequence[int], most: int) -> Sequence[int]:
    """Return the same rooms, or smaller ones in proportion if they are more than this together."""
    total = sum(rooms)
    return rooms if total <= most else [max(1, room * most // total) for room in rooms]


def _fetched(found: Sequence[Any], lanes: int, fitting: Sequence[int] = (), *, large: bool = True) -> Fetched:
    """Make something of what was found.

    Args:
        found: The rows as they came.
        lanes: How many lanes were read.
        fitting: The room that each had, if it was less than it should have been.
        large: Whether there may be large rows.
    """
    rows = [list[FetchedRow]() for _ in range(lanes)]
    seen, server_time = "", 0.0
    for each in found:
        lane: int = each[0]
        # As `_make` does, in a third of the time.
        row = tuple.__new__(FetchedRow, each[1:])  # pyright: ignore[reportUnknownMemberType]
        if lane:
            rows[lane - 1].append(row)
        else:  # this one says in two of its columns when this was
            seen, server_time = row.payload, row.wait or 0.0
    cut: Collection[int] = [place for place, room in enumerate(fitting) if len(rows[place]) >= room]
    if found[-1][7] is None:  # the first that there was no room for comes without its payload
        last = found[-1][0] - 1
        del rows[last][-1]
        cut = range(last, lanes)
    return Fetched(Snapshot.parse(seen), server_time, rows, cut, large)


async def hold_number(connection: Connection) -> int:
    """Draw a number, and hold its advisory lock for as long as the session lives.

    A lock is in the memory of one server: who finds this one free, there, does not speak to this session's.
    """
    nonce = SystemRandom().getrandbits(_LOCK_BITS)
    await connection.execute("select pg_advisory_lock(%s)", (nonce,))
    return nonce


def _fence_columns(fences: Sequence[Fence]) -> tuple[str, str, str]:
    return (
        texts([fence.queue for fence in fences]),
        numbers([fence.partition for fence in fences]),
        numbers([fence.epoch for fence in fences]),
    )


def fetch_parameters(cursors: Sequence[Cursor], rooms: Sequence[int]) -> tuple[str, ...]:
    """Return the parameters of `fetch`, a column each."""
    lanes = [cursor.lane for cursor in cursors]
    windows = [cursor.within for cursor in cursors]
    late = [max(cursor.position, (cursor.after.xmax, -1)) for cursor in cursors]
    return (
        texts([lane.queue for lane in lanes]),
        numbers([lane.priority for lane in lanes]),
        nullable_texts([lane.key for lane in lanes]),
        numbers([lane.partitions.start for lane in lanes]),
        numbers([lane.partitions.stop - 1 for lane in lanes]),
        texts([numbers(cursor.after.xip) for cursor in cursors]),
        numbers([cursor.position[0] for cursor in cursors]),
        numbers([cursor.position[1] for cursor in cursors]),
        numbers([tx for tx, _ in late]),
        numbers([id_ for _, id_ in late]),
        nullable_texts([None if window is None else str(window) for window in windows]),
        numbers([_NO_LIMIT if window is None else window.xmax for window in windows]),
        numbers(rooms),
    )
