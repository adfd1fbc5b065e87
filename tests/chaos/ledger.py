"""The app under fire: transfers between accounts, each audited by a handler with SQL of its own.

Every transfer has an id of its own, so that afterwards each can be looked for: one withdrawal, one credit,
one row in the table of audits. The table has no unique constraint: a second row is seen, not prevented.
"""

from datetime import UTC, datetime

from attrs import Factory, define, frozen

import rolebook as rb

ACCOUNTS = 12


@rb.event("ledger.withdrawn")
@frozen
class Withdrawn:
    id: str
    amount: int


@rb.event("ledger.credited")
@frozen
class Credited:
    id: str
    amount: int


@rb.event("ticker.ticked")
@frozen
class Ticked:
    number: int


@rb.command("ledger.transfer")
@frozen
class Transfer(rb.Command[int]):
    id: str
    to: str
    amount: int


@rb.command("ledger.credit")
@frozen
class Credit(rb.Command[None]):
    id: str
    amount: int


@rb.command("ledger.audit")
@frozen
class Audit(rb.Command[None]):
    id: str
    amount: int


@rb.command("ticker.tick")
@frozen
class Tick(rb.Command[int]):
    """Only ever asked, by the process that owns the actor."""


@rb.actor("account", snapshot_every=50)
@define
class Account:
    balance: int = 0

    @rb.decide
    def transfer(self, command: Transfer) -> rb.Effects[int]:
        yield Withdrawn(command.id, command.amount)
        yield rb.Tell(Account, command.to, Credit(command.id, command.amount))
        yield rb.Enqueue("audit", Audit(command.id, command.amount))
        return self.balance

    @rb.decide
    def credit(self, command: Credit) -> rb.Effects[None]:
        yield Credited(command.id, command.amount)

    @rb.apply
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount

    @rb.apply
    def credited(self, event: Credited) -> None:
        self.balance += event.amount


@rb.actor("ticker")
@define
class Ticker:
    numbers: list[int] = Factory(list[int])

    @rb.decide
    def tick(self, command: Tick) -> rb.Effects[int]:
        yield Ticked(len(self.numbers) + 1)
        return len(self.numbers)

    @rb.apply
    def ticked(self, event: Ticked) -> None:
        self.numbers.append(event.number)


PATIENT = rb.Retry(attempts=1000, backoff=rb.Backoff(first=0.01, cap=0.2))
"""Nothing that is tried again may ever fail for good."""


def ledger(*more: type) -> rb.App:
    """Make the app, with more actors if there are any."""
    app = rb.App("ledger", actors=[Account, Ticker, *more])

    @app.handler("audit", concurrency=4, retry=PATIENT)
    async def audit(command: Audit, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute(
                "insert into public.audits (id, amount, at) values (%s, %s, %s)",
                (command.id, command.amount, datetime.now(UTC)),
            )

    return app


def settings(**changes: float) -> rb.Settings:
    """Make settings that notice within a second what they notice within half a minute otherwise."""
    quick: dict[str, float] = {
        "poll_interval": 0.3,
        "take_interval": 0.1,
        "health_interval": 0.5,
        "health_deadline": 0.5,
        "command_deadline": 2,
        "idle_session_timeout": 1.5,
        "acquire_timeout": 5,
        "mailbox_capacity": 300,
    }
    quick.update(changes)
    return rb.Settings(**quick, backoff=rb.Backoff(first=0.02, cap=0.2))  # type: ignore[arg-type]
