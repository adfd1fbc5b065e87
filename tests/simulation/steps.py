"""What a random program is made of."""

from typing import TypeAlias

from attrs import frozen

from .cast import Do, Relay


@frozen
class Setup:
    """How everything is set up.

    Attributes:
        processes: How many runtimes share the store.
        snapshot_every: As for the actors.
        snapshot_keep: As for the actors.
        residents: How few actors stay in memory.
        mailbox: How few messages of a queue are in memory.
        blocked: How few messages of a blocked key are in memory.
        batch: How few turns are committed at once.
        muted: Whether every notification is lost.
        stall: Seconds each commit takes.
        slow: Seconds that the fetcher's session takes to read, and to take partitions.
    """

    processes: int = 1
    snapshot_every: int | None = None
    snapshot_keep: int = 1
    residents: int = 10_000
    mailbox: int = 2000
    blocked: int = 50
    batch: int = 1000
    muted: bool = False
    stall: float = 0.0
    slow: float = 0.0


@frozen
class Told:
    """Tell an actor, and wait until that is durable.

    Attributes:
        process: Who tells.
        within: Give up after so many seconds.
        once: An idempotency key.
    """

    process: int
    kind: str
    key: str
    command: Do
    delay: float | None = None
    priority: int = 0
    within: float | None = None
    once: str | None = None


@frozen
class Together:
    """Tell several actors in one transaction."""

    process: int
    told: tuple[tuple[str, str, Do], ...]


@frozen
class Asked:
    """Ask an actor.

    Attributes:
        process: Who asks.
        within: Give up after so many seconds.
        wait: Whether the program goes on only when the reply is there.
        once: An idempotency key.
    """

    process: int
    kind: str
    key: str
    command: Do
    within: float | None = None
    wait: bool = True
    once: str | None = None


@frozen
class Queued:
    """Give a queue whose messages have keys something to hand on, and wait until that is durable."""

    process: int
    key: str
    relay: Relay


@frozen
class Rest:
    """Let some time pass."""

    seconds: float


@frozen
class Settle:
    """Wait until nothing is due."""

    process: int


@frozen
class Restart:
    """End a runtime in order, or cut it off, and open it again."""

    process: int
    cut_off: bool = False


@frozen
class Join:
    """Open one more runtime: it gets partitions of the others."""


@frozen
class Leave:
    """End a runtime in order, or cut it off, for good; the last one stays."""

    process: int
    cut_off: bool = False


@frozen
class Trouble:
    """Break something.

    Attributes:
        process: Whose it is.
        what: "fetcher", "writer" or "listener": its session ends; "commit": the fetcher's session ends just
            before the next commit.
    """

    process: int
    what: str


Step: TypeAlias = Told | Together | Asked | Queued | Rest | Settle | Restart | Join | Leave | Trouble
