"""The session that owns partitions and reads the mailbox."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define

from ..contract import Cursor, Fence, Fetched, FetchedRow, Snapshot
from ._arrays import nullable_texts, numbers, texts
from ._connection import Connection
from ._statements import Statements

_NO_LIMIT = 2**64 - 1
"""The highest transaction id: no window is open."""


@define(eq=False)
class PostgresFetchSession:
    """One connection that holds advisory locks: what it owns is free when it closes."""

    connection: Connection
    statements: Statements
    owner: str

    async def take(self, queues: Sequence[str], held: Sequence[Fence]) -> list[Fence]:
        """Take every free partition of some queues; its epoch is raised as it is taken."""
        taken = await self.connection.execute(
            self.statements["take_partitions"],
            (
                texts(queues),
                texts([fence.queue for fence in held]),
                numbers([fence.partition for fence in held]),
                self.owner,
            ),
        )
        return [Fence(*row) for row in await taken.fetchall()]

    async def prepare(self, queues: Sequence[str]) -> None:
        """Make sure that the queues' partitions have their rows."""
        await self.connection.execute(self.statements["add_partitions"], (texts(queues),))

    async def release(self, fences: Sequence[Fence]) -> None:
        """Give partitions back."""
        await self.connection.execute(
            self.statements["release_partitions"],
            (texts([fence.queue for fence in fences]), numbers([fence.partition for fence in fences])),
        )

    async def read(self, cursors: Sequence[Cursor], rooms: Sequence[int]) -> Fetched:
        """Read at most `room` rows for each cursor, all in one snapshot."""
        answer = await self.connection.execute(self.statements["fetch"], fetch_parameters(cursors, rooms))
        rows = [list[FetchedRow]() for _ in cursors]
        seen, server_time = "", 0.0
        for found in await answer.fetchall():
            lane: int = found[0]
            # As `_make` does, in a third of the time.
            row = tuple.__new__(FetchedRow, found[1:])  # pyright: ignore[reportUnknownMemberType]
            if lane:
                rows[lane - 1].append(row)
            else:  # the last row says in two of its columns when this was
                seen, server_time = row.payload, row.wait or 0.0
        return Fetched(Snapshot.parse(seen), server_time, rows)


def fetch_parameters(cursors: Sequence[Cursor], rooms: Sequence[int]) -> tuple[str, ...]:
    """Return the parameters of `fetch`, a column each."""
    lanes = [cursor.lane for cursor in cursors]
    windows = [cursor.within for cursor in cursors]
    late = [max(cursor.position, (cursor.after.xmax, -1)) for cursor in cursors]
    return (
        texts([lane.queue for lane in lanes]),
        numbers([lane.priority for lane in lanes]),
        nullable_texts([lane.key for lane in lanes]),
        texts([numbers(lane.partitions) for lane in lanes]),
        texts([numbers(cursor.after.xip) for cursor in cursors]),
        numbers([cursor.position[0] for cursor in cursors]),
        numbers([cursor.position[1] for cursor in cursors]),
        numbers([tx for tx, _ in late]),
        numbers([id_ for _, id_ in late]),
        nullable_texts([None if window is None else str(window) for window in windows]),
        numbers([_NO_LIMIT if window is None else window.xmax for window in windows]),
        numbers(rooms),
    )
