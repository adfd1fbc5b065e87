"""What the chaos tests share: senders, workers that can be hurt, and the length of the show."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import psycopg
import trio
from attrs import define, field

import rolebook as rb
from rolebook.runtime import Client
from rolebook.runtime.postgres import Connection, DatabaseError, migrate
from tests import seeds
from tests.chaos.books import Books
from tests.chaos.ledger import ACCOUNTS, Account, Transfer, ledger, settings
from tests.chaos.weakening import slow_down
from tests.runtime.looking import Looking

SECONDS = float(os.environ.get("ROLEBOOK_CHAOS_SECONDS", "3"))
"""How long each test is under fire."""

PACE = 0.003
"""Seconds between two sends: a load, not a flood, for what is sent has to be worked off afterwards."""

ROUNDS = 12
"""How often a control may try before it counts as having found nothing."""

ROOT = Path(__file__).parents[2]


async def prepare(looking: Looking) -> None:
    """Make the schema and the table of audits."""
    await migrate(looking.connection, schema="rolebook", partitions=8)
    await looking.do("create table public.audits (id text, amount int, at timestamptz)")


def transfer(sender: str, number: int) -> tuple[str, Transfer]:
    """The account and the command of a sender's transfer."""
    source, target = number % ACCOUNTS, (number * 7 + 1) % ACCOUNTS
    return f"a{source}", Transfer(f"{sender}-{number}", f"a{target}", number % 100 + 1)


@define(eq=False)
class Senders:
    """Send transfers one after the other until the scope is cancelled."""

    books: Books
    numbers: dict[str, int] = field(factory=dict[str, int])

    def _next(self, sender: str, count: int) -> range:
        first = self.numbers.get(sender, 0)
        self.numbers[sender] = first + count
        return range(first, first + count)

    async def through(self, runtime: Client, sender: str) -> None:
        """Send through a client, three at a time."""
        while True:
            numbers = self._next(sender, 3)
            ids = [f"{sender}-{number}" for number in numbers]
            self.books.unknown.update(ids)
            commands = [transfer(sender, number) for number in numbers]
            try:
                await runtime.send(*(rb.Tell(Account, key, command) for key, command in commands))
            except rb.OutcomeUnknown:
                continue
            self.books.unknown.difference_update(ids)
            self.books.accepted.extend(ids)
            await trio.sleep(PACE)

    async def by_sql(self, url: str, sender: str) -> None:
        """Send as another service does, with SQL on a connection of its own."""
        while True:
            try:
                connection = await Connection.connect(url, autocommit=True)
            except (psycopg.OperationalError, DatabaseError):
                await trio.sleep(0.02)
                continue
            async with connection:
                try:
                    await self._by_sql(connection, sender)
                except psycopg.Error:
                    continue

    async def _by_sql(self, connection: Connection, sender: str) -> None:
        while True:
            (number,) = self._next(sender, 1)
            key, command = transfer(sender, number)
            self.books.unknown.add(command.id)
            payload = json.dumps({"id": command.id, "to": command.to, "amount": command.amount})
            await connection.execute(
                "select rolebook.tell('account', %s, 'ledger.transfer', %s::json)", (key, payload)
            )
            self.books.unknown.discard(command.id)
            self.books.accepted.append(command.id)
            await trio.sleep(PACE)


@asynccontextmanager
async def sending(runtime: Client, books: Books, senders: int = 4) -> AsyncGenerator[Senders]:
    """Send through a runtime for the length of a block; at its end no send is under way."""
    group = Senders(books)
    async with trio.open_nursery() as nursery:
        for number in range(senders):
            nursery.start_soon(group.through, runtime, f"s{number}")
        yield group
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def sending_by_sql(url: str, books: Books, senders: int = 2) -> AsyncGenerator[Senders]:
    """Send by SQL for the length of a block; at its end no send is under way."""
    group = Senders(books)
    async with trio.open_nursery() as nursery:
        for number in range(senders):
            nursery.start_soon(group.by_sql, url, f"q{number}")
        yield group
        nursery.cancel_scope.cancel()


@define(eq=False)
class Worker:
    """A process that runs the ledger."""

    process: subprocess.Popen[str]

    def wait_ready(self) -> None:
        """Wait until its runtime is open."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def freeze(self) -> None:
        """Stop it, as a debugger or a suspended machine does."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a warning."""
        self.process.kill()
        self.process.wait()

    def end(self) -> str:
        """Let it end in order; return what else it printed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0
        return self.process.stdout.read()


@contextmanager
def worker(url: str, name: str, *options: str, **changes: float) -> Generator[Worker]:
    """Run a worker; whatever has become of it, it is gone at the end."""
    with running("tests.chaos.worker", url, name, json.dumps(changes), *options) as process:
        yield process


@contextmanager
def version(url: str, name: str, number: int, *options: str) -> Generator[Worker]:
    """Run a process of a version of the lists; see `versions`."""
    with running("tests.chaos.versions", url, name, str(number), *options) as process:
        yield process


@contextmanager
def running(module: str, *arguments: str) -> Generator[Worker]:
    """Run a module that says when it is ready and ends with its input; it is gone at the end."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield Worker(process)
        finally:
            process.kill()


async def settle(url: str, looking: Looking, app: rb.App | None = None, *, within: float = 60) -> None:
    """Let a fresh runtime finish what is left, and see that it leaves nothing behind."""
    await slow_down(looking, 0)
    with trio.fail_after(within):
        async with rb.open_runtime(app or ledger(), database=url, settings=settings()) as runtime:
            await runtime.wait_idle()
            await looking.until(
                "select not exists (select from rolebook.messages)"
                " and not exists (select from rolebook.scheduled)"
            )
        await looking.nothing_left()


def dice() -> Random:
    """Dice of the run's seed."""
    return Random(seeds.seed())
