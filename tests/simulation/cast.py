"""The actors of the simulation: what they do is written in the commands they get."""

from typing import Any

import trio
from attrs import Factory, define, frozen

import rolebook as rb

KINDS = ("block", "skip", "park")
"""The actors' names, which are also what they do with a failing message."""

ATTEMPTS = 3
RETRY = rb.Retry(attempts=ATTEMPTS, backoff=rb.Backoff(first=0.01, cap=0.02, jitter=0))
RELAY = "relay"
DESK = "desk"
"""A queue whose messages have keys."""
FACTOR, MODULUS = 31, 1_000_003


class Broken(Exception):
    """What a decider raises that was told to fail."""


@frozen
class Address:
    """Whom to send a further command, and its number."""

    kind: str
    key: str
    number: int


@frozen
class Reply:
    """The state after a turn: how many events, and their digest, which depends on their order."""

    count: int
    digest: int


@rb.command("sim.do")
@frozen
class Do(rb.Command[Reply]):
    """What one turn does.

    Attributes:
        number: Names the command; no two have the same.
        events: How many events it decides.
        failures: On how many attempts it raises.
        spoil: Whether it decides an event before it raises or refuses.
        refuse: Whether it refuses.
        stop: Whether it asks to be passivated.
        tells: Whom it tells something.
        routed: Whom a route tells something, by an event.
        relayed: Whom the handler of a queue tells something.
    """

    number: int
    events: int = 1
    failures: int = 0
    spoil: bool = False
    refuse: bool = False
    stop: bool = False
    tells: tuple[Address, ...] = ()
    routed: tuple[Address, ...] = ()
    relayed: tuple[Address, ...] = ()

    @property
    def children(self) -> tuple[Address, ...]:
        """Everybody who hears of it if it succeeds."""
        return (*self.tells, *self.routed, *self.relayed)

    @property
    def length(self) -> int:
        """How many events it leaves in the journal if it succeeds."""
        return self.events + len(self.routed)


@rb.command("sim.relay")
@frozen
class Relay(rb.Command[None]):
    """Hand a command on.

    Attributes:
        to: Whom, and the command's number.
        failures: On how many attempts the handler raises.
        alone: Whether it commits in a transaction of its own.
    """

    to: Address
    failures: int = 0
    alone: bool = False


@rb.event("sim.done")
@frozen
class Done:
    number: int


@rb.event("sim.routed")
@frozen
class Routed:
    number: int
    to: Address


def digest_of(digest: int, number: int) -> int:
    """The digest after one more event."""
    return (digest * FACTOR + number) % MODULUS


def fail(command: Do, attempt: int) -> rb.Effects[None]:
    """Fail or refuse, with or without an event before it."""
    if command.spoil:
        yield Done(command.number)
    if attempt <= command.failures:
        raise Broken(f"command {command.number}, attempt {attempt}")
    raise rb.Rejected(f"command {command.number}")


def effects_of(command: Do) -> rb.Effects[None]:
    """Everything that a command is to do."""
    for _ in range(command.events):
        yield Done(command.number)
    for to in command.tells:
        yield rb.Tell(to.kind, to.key, Do(to.number))
    for to in command.routed:
        yield Routed(command.number, to)
    for to in command.relayed:
        yield rb.Enqueue(RELAY, Relay(to))
    if command.stop:
        yield rb.Stop()


def ledger(name: str, **options: Any) -> type[Any]:
    """Make a kind of actor."""

    @rb.actor(name, retry=RETRY, **options)
    @define
    class Ledger:
        count: int = 0
        digest: int = 0
        numbers: list[int] = Factory(list[int])

        @rb.decide
        def do(self, command: Do, turn: rb.DecideTurn) -> rb.Effects[Reply]:
            if turn.attempt <= command.failures or command.refuse:
                yield from fail(command, turn.attempt)
            yield from effects_of(command)
            return Reply(self.count, self.digest)

        @rb.apply
        def happened(self, event: Done | Routed) -> None:
            self.count += 1
            self.digest = digest_of(self.digest, event.number)
            self.numbers.append(event.number)

    return Ledger


def forgetful(name: str, **options: Any) -> type[Any]:
    """Make a kind of actor with a bug: part of its state is in no event."""

    @rb.actor(name, retry=RETRY, **options)
    @define
    class Forgetful:
        count: int = 0
        digest: int = 0
        numbers: list[int] = Factory(list[int])

        @rb.decide
        def do(self, command: Do) -> rb.Effects[Reply]:
            if command.events == 0:
                self.count += 1
            yield from effects_of(command)
            return Reply(self.count, self.digest)

        @rb.apply
        def happened(self, event: Done | Routed) -> None:
            self.count += 1
            self.digest = digest_of(self.digest, event.number)
            self.numbers.append(event.number)

    return Forgetful


def make_app(make: Any = ledger, **options: Any) -> rb.App:
    """Make an app with one kind of actor for each way to fail, a route and two queues.

    Args:
        make: Makes a kind of actor.
        options: For both kinds, such as `snapshot_every`.
    """
    app = rb.App("simulation", actors=[make(kind, on_failure=kind, **options) for kind in KINDS])

    @app.route
    def route(event: Routed) -> rb.Tell:
        return rb.Tell(event.to.kind, event.to.key, Do(event.to.number))

    @app.handler(RELAY, retry=RETRY)
    async def relay(command: Relay, turn: rb.Turn) -> None:
        turn.send(rb.Tell(command.to.kind, command.to.key, Do(command.to.number)))

    @app.handler(DESK, retry=RETRY, on_failure="block", concurrency=3)
    async def desk(command: Relay, turn: rb.Turn) -> None:
        turn.send(rb.Tell(command.to.kind, command.to.key, Do(command.to.number)))
        if command.alone:
            async with turn.connection():
                await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()  # the others have their turn in between
        if turn.attempt <= command.failures:
            raise Broken(f"relay of {command.to.number}, attempt {turn.attempt}")

    return app
