"""Loading: from the file into the mailboxes, a page at a time.

A page of messages and the mark of how far the file has been sent commit in one
transaction. So it does not matter when the program is killed: what the mark says
has been sent, and nothing else has.
"""

from collections.abc import Callable, Mapping, Sequence

import trio

import rolebook as rb

from ._actors import Aircraft, Airline, CountFlight, Fly
from ._file import Row
from ._tables import ADVANCE

PAGE = 500
"""Flights in one transaction."""

AHEAD = 12_000
"""Flights sent and not yet handled, at most. Enough to keep every part busy; more would only lie about."""

LOOK = 0.25
"""Seconds between two looks at what waits."""


class ProgressError(Exception):
    """Somebody else loads the same flights at the same time."""


class Loader:
    """Sends flights, and knows how many have been handled.

    Args:
        runtime: Where to.
        rows: The flights of each month, in their order.
        sent: How many of each month have been sent before.

    Attributes:
        handled: Flights whose aircraft and airline are done with them, as of the last look.
    """

    def __init__(
        self, runtime: rb.Runtime, rows: Mapping[int, Sequence[Row]], sent: Mapping[int, int]
    ) -> None:
        self._runtime = runtime
        self._rows = rows
        self.sent = {**sent}
        self.handled = 0
        self._looked = trio.Event()

    @property
    def total(self) -> int:
        """All flights that are to be handled in the end."""
        return sum(max(len(self._rows.get(month, ())), self.sent.get(month, 0)) for month in self._months)

    @property
    def waiting(self) -> int:
        """Flights that have been sent and are not handled."""
        return sum(self.sent.values()) - self.handled

    @property
    def finished(self) -> bool:
        """Whether everything has been sent and handled."""
        return self.handled >= self.total

    @property
    def _months(self) -> list[int]:
        return sorted({*self._rows, *self.sent})

    async def run(self, show: Callable[[], None]) -> None:
        """Send what has not been sent, and wait until everything is handled.

        Args:
            show: Called whenever there is news.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, show)
            for month in self._months:
                await self._send_month(month)
            await self._runtime.wait_idle()
            nursery.cancel_scope.cancel()
        await self.look()
        show()

    async def look(self) -> None:
        """Count what has been handled."""
        sent = sum(self.sent.values())  # before the count: what is sent meanwhile only makes it cautious
        depths = await self._runtime.depths()
        # A flight waits for its aircraft or for its airline, never for both at once.
        self.handled = sent - depths["aircraft"] - depths["airline"]
        self._looked.set()
        self._looked = trio.Event()

    async def _watch(self, show: Callable[[], None]) -> None:
        while True:
            await self.look()
            show()
            await trio.sleep(LOOK)

    async def _send_month(self, month: int) -> None:
        rows = self._rows.get(month, ())
        for start in range(self.sent.get(month, 0), len(rows), PAGE):
            while self.waiting > AHEAD:
                await self._looked.wait()
            await self._send_page(month, start, rows[start : start + PAGE])

    async def _send_page(self, month: int, start: int, page: Sequence[Row]) -> None:
        end = start + len(page)
        messages = [message(row) for row in page]
        async with self._runtime.connection() as connection, connection.transaction():
            marked = await connection.execute(ADVANCE, (month, end, start))
            if marked.rowcount != 1:
                raise ProgressError("another process loads the same flights: let it, or stop it first")
            await self._runtime.send(*messages, connection=connection)
        self.sent[month] = end


def message(row: Row) -> rb.Tell:
    """Say who is told of a flight: its aircraft; or, where the file names none, its airline at once."""
    if row.aircraft is None:
        count = CountFlight.of(
            row.departure_delay, row.arrival_delay, row.minutes, row.distance, aircraft=False
        )
        return rb.Tell(Airline, row.carrier, count)
    fly = Fly(
        row.carrier,
        row.number,
        row.origin,
        row.destination,
        row.scheduled,
        row.departure_delay,
        row.arrival_delay,
        row.minutes,
        row.distance,
    )
    return rb.Tell(Aircraft, row.aircraft, fly)
