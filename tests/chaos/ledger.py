"""The app under fire: transfers between accounts, each audited by a handler with SQL of its own.

Every transfer has an id of its own, so that afterwards each can be looked for: one withdrawal, one credit,
one row in the table of audits. The table has no unique constraint: a second row is seen, not prevented.
"""

from datetime import UTC, datetime

from attrs import Factory, define, frozen

import understudy as us

ACCOUNTS = 12


@us.event("ledger.withdrawn")
@frozen
class Withdrawn:
    id: str
    amount: int


@us.event("ledger.credited")
@frozen
class Credited:
    id: str
    amount: int


@us.event("ticker.ticked")
@frozen
class Ticked:
    number: int


@us.command("ledger.transfer")
@frozen
class Transfer(us.Command[int]):
    id: str
    to: str
    amount: int


@us.command("ledger.credit")
@frozen
class Credit(us.Command[None]):
    id: str
    amount: int


@us.command("ledger.audit")
@frozen
class Audit(us.Command[None]):
    id: str
    amount: int


@us.command("ticker.tick")
@frozen
class Tick(us.Command[int]):
    """Only ever asked, by the process that owns the actor."""


@us.actor("account", snapshot_every=50)
@define
class Account:
    balance: int = 0

    @us.decide
    def transfer(self, command: Transfer) -> us.Effects[int]:
        yield Withdrawn(command.id, command.amount)
        yield us.Tell(Account, command.to, Credit(command.id, command.amount))
        yield us.Enqueue("audit", Audit(command.id, command.amount))
        return self.balance

    @us.decide
    def credit(self, command: Credit) -> us.Effects[None]:
        yield Credited(command.id, command.amount)

    @us.apply
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount

    @us.apply
    def credited(self, event: Credited) -> None:
        self.balance += event.amount


@us.actor("ticker")
@define
class Ticker:
    numbers: list[int] = Factory(list[int])

    @us.decide
    def tick(self, command: Tick) -> us.Effects[int]:
        yield Ticked(len(self.numbers) + 1)
        return len(self.numbers)

    @us.apply
    def ticked(self, event: Ticked) -> None:
        self.numbers.append(event.number)


def ledger() -> us.App:
    """Make the app; nothing that is tried again may ever fail for good."""
    app = us.App("ledger", actors=[Account, Ticker])
    patient = us.Retry(attempts=1000, backoff=us.Backoff(first=0.01, cap=0.2))

    @app.handler("audit", concurrency=4, retry=patient)
    async def audit(command: Audit, turn: us.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute(
                "insert into public.audits (id, amount, at) values (%s, %s, %s)",
                (command.id, command.amount, datetime.now(UTC)),
            )

    return app


def settings(**changes: float) -> us.Settings:
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
    return us.Settings(**quick, backoff=us.Backoff(first=0.02, cap=0.2))  # type: ignore[arg-type]
