"""The app under fire: the ledger of the chaos tests, and what a server that forgets hurts most.

- A *relay* hands on what it is told in turns without an event: no number of a journal stands for them.
- A *notebook* is a queue whose messages come in the order of their key.
- A *counter* is only asked: no message in a mailbox stands for its turns, and its reply is its number.
"""

from attrs import define, frozen

import rolebook as rb
from tests.chaos.ledger import PATIENT, ledger

COUNTERS = 3


@rb.command("office.pass")
@frozen
class Pass(rb.Command[None]):
    """Told to a relay, whose key is the sender."""

    sender: str
    number: int


@rb.command("office.note")
@frozen
class Note(rb.Command[None]):
    sender: str
    number: int


@rb.command("office.sign")
@frozen
class Sign(rb.Command[int]):
    """Answered with the number of its event."""

    id: str


@rb.event("office.signed")
@frozen
class Signed:
    id: str


@rb.actor("relay", retry=PATIENT)
@define
class Relay:
    """Has no events."""

    @rb.decide
    def hand_on(self, command: Pass) -> rb.Effects[None]:
        yield rb.Enqueue("notes", Note(command.sender, command.number), key=command.sender)


@rb.actor("counter", snapshot_every=20)
@define
class Counter:
    count: int = 0

    @rb.decide
    def sign(self, command: Sign) -> rb.Effects[int]:
        yield Signed(command.id)
        return self.count

    @rb.apply
    def signed(self, event: Signed) -> None:
        self.count += 1


def office() -> rb.App:
    """Make the app."""
    app = ledger(Relay, Counter)

    @app.handler("notes", concurrency=4, retry=PATIENT, on_failure="block")
    async def note(command: Note, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute(
                "insert into public.notes (sender, number, message, attempt) values (%s, %s, %s, %s)",
                (command.sender, command.number, turn.message_id, turn.attempt),
            )

    return app
