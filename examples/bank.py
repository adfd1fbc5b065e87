"""A bank: accounts that keep their balance as a journal of events, and transfers between them.

    python -m examples.bank

A transfer is a message from one account to the other. Taking the money out, and the message
that brings it to the other account, commit in one transaction: no money is ever lost or made,
however often the program is killed. The sum over all accounts is checked at the end.
"""

import random
import sys
import uuid

import trio
from attrs import define, frozen

import rolebook as rb

ACCOUNTS = 20
TRANSFERS = 2000
BEGIN_WITH = 100


# What can happen to an account, and what it can be told.


@rb.event("account.deposited")
@frozen
class Deposited:
    amount: int


@rb.event("account.withdrawn")
@frozen
class Withdrawn:
    amount: int


@rb.command("account.deposit")
@frozen
class Deposit(rb.Command[int]):
    """Answered with the new balance."""

    amount: int


@rb.command("account.transfer")
@frozen
class Transfer(rb.Command[int]):
    """Answered with what is left."""

    to: str
    amount: int


@rb.command("mail.receipt")
@frozen
class SendReceipt:
    account: str
    amount: int


@rb.actor("account")
@define
class Account:
    balance: int = 0

    @rb.decide
    def deposit(self, command: Deposit, turn: rb.DecideTurn) -> rb.Effects[int]:
        if command.amount <= 0:
            raise rb.Rejected("the amount must be positive")
        yield Deposited(command.amount)  # an event: applied at once, stored at the commit
        if command.amount >= BEGIN_WITH:
            yield rb.Enqueue("mail", SendReceipt(turn.key, command.amount))  # a message to a queue
        return self.balance  # the reply

    @rb.decide
    def transfer(self, command: Transfer) -> rb.Effects[int]:
        if command.amount > self.balance:
            raise rb.Rejected(f"{command.amount} wanted, {self.balance} there")
        yield Withdrawn(command.amount)
        yield rb.Tell(Account, command.to, Deposit(command.amount))  # a message to another actor
        return self.balance

    @rb.apply
    def deposited(self, event: Deposited) -> None:
        self.balance += event.amount

    @rb.apply
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount


app = rb.App("bank", actors=[Account])


@app.handler("mail", concurrency=8, retry=rb.Retry(attempts=5))  # a stateless handler of a queue
async def send_receipt(command: SendReceipt) -> None:
    print(f"receipt for {command.account}: {command.amount} deposited")


async def main() -> int:
    run = uuid.uuid4().hex[:6]  # new accounts each time: those of the last run are still there
    names = [f"{run}-{number}" for number in range(ACCOUNTS)]
    async with rb.open_runtime(app) as runtime:  # an embedded PostgreSQL, unless told otherwise
        for name in names:
            await runtime.ask(Account, name, Deposit(BEGIN_WITH))
        try:
            await runtime.ask(Account, names[0], Transfer(names[1], 1000))
        except rb.Rejected as refusal:
            print(f"refused: {refusal}")

        # Told, not asked: durable once this returns. Those without cover are refused, and that is that.
        transfers = (random.choices(names, k=2) for _ in range(TRANSFERS))
        await runtime.send(
            *(rb.Tell(Account, giver, Transfer(taker, random.randint(1, 60))) for giver, taker in transfers)
        )
        await runtime.wait_idle()  # nothing due, nothing in work

        accounts = await runtime.read_many(Account, names)
    balances = sorted(account.balance for account in accounts.values())
    print(f"{TRANSFERS} transfers between {ACCOUNTS} accounts; balances from {balances[0]} to {balances[-1]}")
    print(f"the sum is {sum(balances)}, and was {ACCOUNTS * BEGIN_WITH}")
    return 0 if sum(balances) == ACCOUNTS * BEGIN_WITH and balances[0] >= 0 else 1


if __name__ == "__main__":
    sys.exit(trio.run(main))
