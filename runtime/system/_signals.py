"""What the system actors say to each other, over memory channels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias, final

import trio
from attrs import define, frozen

from ..contract import Fence, Message, Promise, Settled

# ---- to the fetcher ----


@final
@frozen
class Attach:
    """A handler is ready for its queue's messages."""

    queue: str
    inbox: trio.MemorySendChannel[Any]
    room: int
    room_bytes: int


@final
@frozen
class Withdraw:
    """A handler takes nothing more: others may have its partitions, each as soon as it is drained."""

    queue: str
    inbox: trio.MemorySendChannel[Any]


@final
@frozen
class Drained:
    """A handler has settled everything it had of some partitions that it was told to give back."""

    queue: str
    inbox: trio.MemorySendChannel[Any]
    partitions: Collection[int]


@final
@frozen
class Detach:
    """A handler has ended: its partitions may go to others."""

    queue: str
    inbox: trio.MemorySendChannel[Any]


@final
@frozen
class Credit:
    """A handler has room for so many messages more, and so many bytes."""

    queue: str
    count: int
    size: int


@final
@frozen
class Look:
    """There may be something new.

    Attributes:
        rung: Whether somebody who sent rang for it.
    """

    rung: bool = False


@final
@frozen
class LookAtOwners:
    """Members may have come or gone, or partitions may have become free."""


@final
@frozen
class Reread:
    """A key's messages were set aside: read them again, from the first.

    Attributes:
        number: Tells this reading from an earlier one of the same key, which it replaces.
    """

    queue: str
    key: str
    partition: int
    number: int


FetcherSignal: TypeAlias = Attach | Withdraw | Drained | Detach | Credit | Look | LookAtOwners | Reread

# ---- to a handler ----


@final
@frozen
class Owned:
    """The partitions of the queue that this process owns now; said at the start even if there are none.

    One that was owned before, and is not any more, is to be given back: nothing of it begins, and once what
    has begun is settled, `Drained` is the answer. No message of it comes behind this.
    """

    fences: Mapping[int, Fence]


@final
@frozen
class Page:
    """Messages in order.

    Attributes:
        key: Set on a page that was read again for a key; None otherwise.
        last: Set with `key`: the key has caught up, its messages come with the others again.
        number: Set with `key`: which reading of the key this page belongs to.
    """

    messages: Sequence[Message] = ()
    key: str | None = None
    last: bool = False
    number: int = 0


@final
@frozen
class Delivered:
    """What had been sent to the queue has been delivered; it comes behind the last page of that.

    Attributes:
        numbers: For each partition that has come further, up to which number of `SendCount`. One that was
            just taken is said for the first time when what was visible then has been delivered.
    """

    numbers: Mapping[int, int]


@final
@define(eq=False)
class LocalAsk:
    """A command that came by call, not by mailbox: it has no row.

    It is encoded all the same: what is no command of the actor's is refused as it
    is from afar, and the actor shares nothing with who asks.

    Attributes:
        after: The number of `SendCount` when it was asked: what was sent before is handled before it.
    """

    key: str
    type: str
    version: int
    payload: str
    promise: Promise
    id: str
    headers: str | None
    after: int


@final
@frozen
class Resume:
    """A stopped key may have been resumed: a hint to look, since it may have been stopped again."""


HandlerSignal: TypeAlias = Owned | Page | Delivered | LocalAsk | Settled | Resume
