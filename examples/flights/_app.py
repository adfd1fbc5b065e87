"""The app: aircraft, airlines, and the queue of long delays."""

import rolebook as rb

from ._actors import Aircraft, Airline, NoteDelay
from ._tables import NOTE_DELAY

app = rb.App("flights", actors=[Aircraft, Airline])


@app.handler("delays", concurrency=4)
async def note_delay(command: NoteDelay, turn: rb.Turn) -> None:
    """Write a long delay into a table, in the transaction that acknowledges the message.

    So it stands there once, however often this process is killed. The table exists: the
    loader makes it before it sends its first flight.
    """
    async with turn.connection() as connection:
        await connection.execute(
            NOTE_DELAY,
            (
                command.aircraft,
                command.carrier,
                command.number,
                command.origin,
                command.destination,
                command.scheduled,
                command.minutes,
            ),
        )
