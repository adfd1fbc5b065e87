"""The markers of a process's commits: what became of one, and whether a server forgot."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from typing import Final, final

import trio
from attrs import define, field, frozen

from ..contract import CommitUnit, ServerForgot
from ._arrays import numbers
from ._connection import Connection
from ._statements import Statements

REMEMBERED: Final = 1000
"""Acknowledged commits whose size is known when they turn out to be lost."""

LASTS: Final = 6 * 24 * 3600.0
"""Seconds for which a marker proves something: old ones are deleted after a week, as processes start."""


@final
@frozen
class Marker:
    """The unique row that a batch inserts in its own transaction.

    After a break somebody tries to insert it on a new connection. If the lost
    commit is still under way, that waits for it. If it committed, the marker is
    there. If it did not, it never can any more: the marker is taken.
    """

    writer: uuid.UUID
    batch: int
    began: float
    forget: Sequence[int] = ()
    """The batches whose markers this commit deletes: their outcome is known, nobody will ask again."""

    @property
    def parameters(self) -> tuple[str, str, str | None]:
        """Writer, batch and forget as texts: numbers would be prepared anew for each size they come in."""
        return str(self.writer), str(self.batch), numbers(self.forget) if self.forget else None


@final
@frozen
class Acknowledged:
    """The size of a commit that the server acknowledged."""

    batch: int
    turns: int
    events: int

    @classmethod
    def of(cls, batch: int, units: Sequence[CommitUnit]) -> Acknowledged:
        """Return the size of a batch."""
        return cls(batch, len(units), sum(len(unit.events) for unit in units))


@final
@frozen
class Claims:
    """What a server must have that has forgotten nothing: a server keeps its commits in their order."""

    settled: Collection[int]
    under_way: Collection[Marker]

    @property
    def batches(self) -> list[int]:
        """The batches to look for."""
        found = [*self.settled]
        for marker in self.under_way:
            found += (marker.batch, *marker.forget)
        return found

    def hold(self, present: Collection[int]) -> bool:
        """Say whether a server that has these markers has forgotten nothing.

        A commit under way deletes the markers that it forgets, if it happens: either is there.
        """
        if any(batch not in present for batch in self.settled):
            return False
        return all(
            marker.batch in present or all(batch in present for batch in marker.forget)
            for marker in self.under_way
        )


@final
@define(eq=False)
class Markers:
    """Gives out the markers of a process; they do not pile up, as each commit deletes those before.

    All commits of a process, the writer's and those of turns with a transaction of their own, have theirs
    from here. When a server is found to have forgotten, everything begins anew.
    """

    writer: uuid.UUID = field(factory=uuid.uuid4)
    forgot: ServerForgot | None = None
    """What was found the last time that a server had forgotten."""
    announce: Callable[[ServerForgot], None] | None = None
    """Called when that is found, before anything else can commit."""
    _batch: int = 0
    _settled: dict[int, float] = field(factory=dict[int, float])
    _under_way: dict[int, Marker] = field(factory=dict[int, Marker])
    _acknowledged: deque[Acknowledged] = field(factory=lambda: deque[Acknowledged](maxlen=REMEMBERED))
    _checks: int = 0

    def new(self) -> Marker:
        """Return a marker that was never used."""
        self._batch += 1
        forget: tuple[int, ...] = ()
        if self._settled and not self._checks:  # while a server is asked for them, they stay
            forget = tuple(self._settled)
            self._settled.clear()
        marker = self._under_way[self._batch] = Marker(self.writer, self._batch, trio.current_time(), forget)
        return marker

    def settle(self, marker: Marker, units: Sequence[CommitUnit] | None) -> ServerForgot | None:
        """Take note of an outcome. A void marker stays: it keeps a late request from committing.

        Args:
            marker: Whose.
            units: What was committed; None if it did not happen.

        Returns:
            What was found meanwhile, if this commit was computed before a server forgot.
        """
        if marker.writer != self.writer:
            return self.forgot
        now = trio.current_time()
        self._under_way.pop(marker.batch, None)
        if units is None:
            self._settled.update(dict.fromkeys(marker.forget, now))
        else:
            self._settled[marker.batch] = now
            self._acknowledged.append(Acknowledged.of(marker.batch, units))
        return None

    async def check(self, connection: Connection, statements: Statements) -> None:
        """Ask a server that was just connected to whether it has what was acknowledged.

        Raises:
            ServerForgot: It has not; whoever hears that sees to it that everything begins anew.
        """
        writer = self.writer
        with self._checking() as claims:
            if not claims.batches:
                return
            answer = await connection.execute(
                statements["surviving_commits"], (numbers(claims.batches), writer), prepare=False
            )
            row = await answer.fetchone()
        if self.forgot is not None and writer != self.writer:
            raise self.forgot  # somebody else has found it out meanwhile: it has begun anew, and does so once
        assert row is not None
        present, newest = row
        if not claims.hold(frozenset(present or ())):
            raise self._begin_anew(newest or 0)

    @contextmanager
    def _checking(self) -> Generator[Claims]:
        """Say what a server must have; until the end of the block no commit begins that deletes any of it."""
        oldest = trio.current_time() - LASTS
        self._settled = {batch: at for batch, at in self._settled.items() if at > oldest}
        self._under_way = {batch: each for batch, each in self._under_way.items() if each.began > oldest}
        self._checks += 1
        try:
            yield Claims(list(self._settled), list(self._under_way.values()))
        finally:
            self._checks -= 1

    def _begin_anew(self, newest: int) -> ServerForgot:
        lost = [each for each in self._acknowledged if each.batch > newest]
        error = ServerForgot(len(lost), sum(each.turns for each in lost), sum(each.events for each in lost))
        self.forgot, self.writer = error, uuid.uuid4()
        self._settled.clear()
        self._under_way.clear()
        self._acknowledged.clear()
        if self.announce is not None:
            self.announce(error)
        return error


async def connect_checked(
    connect: Callable[[], Awaitable[Connection]], markers: Markers, statements: Statements, *, deadline: float
) -> Connection:
    """Open a connection to a server that has forgotten nothing.

    Raises:
        ServerForgot: It has forgotten something; the connection is closed.
    """
    connection = await connect()
    try:
        with trio.fail_after(deadline):
            await markers.check(connection, statements)
    except BaseException:
        await connection.close()
        raise
    return connection
