"""A store that fails a chosen commit in a chosen way, between the runtime and a real one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

from attrs import define, field

from rolebook.runtime.contract import (
    BadData,
    CommitResult,
    Committed,
    CommitUnit,
    Conflict,
    Message,
    Ring,
    Store,
    WriteSession,
)

Kind: TypeAlias = Literal["missing", "stale", "refused", "cut before", "cut after"]
"""missing: another process has handled the message. stale: another process has taken the partition.
refused: the database refuses a value. cut: the writer breaks, before or after the commit happened."""

KINDS: tuple[Kind, ...] = ("missing", "stale", "refused", "cut before", "cut after")


class Cut(Exception):
    """The writer's session breaks for good."""


@define(eq=False)
class Fault:
    """What goes wrong.

    Attributes:
        commit: Which commit it is, counted from 1.
        kind: In which way.
        place: Which of its units it is about, counted around.
        struck: What it is about, once its commit has come; None again if it could do nothing to that.
    """

    commit: int
    kind: Kind
    place: int = 0
    struck: CommitUnit | None = None
    over: bool = False


@define(eq=False)
class Hooks:
    """How to do from outside what the faults say another process does.

    Attributes:
        steal: Handle a message as another process would, and say whether it was still there.
        take_over: Take the partitions as another process would.
        pause: Give the handlers time to compute ahead of a commit.
    """

    steal: Callable[[Message], Awaitable[bool]]
    take_over: Callable[[], Awaitable[object]]
    pause: Callable[[], Awaitable[object]]


@define(eq=False)
class FaultyStore:
    """Everything is the real store's, but for the faults in its commits."""

    real: Store
    hooks: Hooks
    faults: Sequence[Fault]
    commits: int = 0
    early: list[CommitUnit] = field(factory=list[CommitUnit])
    stolen: list[Message] = field(factory=list[Message])
    results: list[CommitResult] = field(factory=list[CommitResult])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def as_store(self) -> Store:
        """The same, for type checkers: what it does not define is the real store's."""
        store: Any = self
        return store  # type: ignore[no-any-return]  # every attribute of a store is there

    @asynccontextmanager
    async def open_write_session(self) -> AsyncGenerator[FaultySession]:
        """Open a session whose commits fail as planned."""
        async with self.real.open_write_session() as session:
            yield FaultySession(self, session)


@define(eq=False)
class FaultySession:
    """A writer's session with faults."""

    store: FaultyStore
    real: WriteSession

    async def commit(
        self, units: Sequence[CommitUnit], rings: Sequence[Ring], nonce: int | None
    ) -> CommitResult:
        """Commit, unless a fault strikes."""
        store = self.store
        await store.hooks.pause()
        store.early += [unit for unit in units if unit.promise is not None and _answered(unit)]
        store.commits += 1
        for fault in store.faults:
            if not fault.over and (fault.struck in units or fault.commit == store.commits):
                result = await self._strike(fault, units, rings, nonce)
                if result is not None:
                    return result
        result = await self.real.commit(units, rings, nonce)
        store.results.append(result)
        return result

    async def renew(self) -> None:
        """As the real one."""
        await self.real.renew()

    async def _strike(
        self, fault: Fault, units: Sequence[CommitUnit], rings: Sequence[Ring], nonce: int | None
    ) -> CommitResult | None:
        store = self.store
        victim = fault.struck or units[fault.place % len(units)]
        fault.struck = victim
        if fault.kind == "refused":
            fault.over = len(units) == 1
            return BadData(ValueError("the database refuses this on purpose"))
        fault.over = True
        if fault.kind == "missing":
            if victim.consumed is None or _is_ask(victim.consumed):
                fault.struck = None
                return None  # whoever really handled an ask would have answered it
            if await store.hooks.steal(victim.consumed):
                store.stolen.append(victim.consumed)
            return Conflict(missing=frozenset({victim.consumed.id}))
        if fault.kind == "stale":
            await store.hooks.take_over()
            return None
        if fault.kind == "cut after":
            result = await self.real.commit(units, rings, nonce)
            assert isinstance(result, Committed | Conflict | BadData)
        raise Cut(fault.kind)


def _is_ask(message: Message) -> bool:
    """Whether somebody in some process waits for a reply to it."""
    return message.headers is not None and "asker" in message.headers


def _answered(turn: CommitUnit) -> bool:
    """Whether who asks has a reply already, before its turn is committed."""
    promise: Any = turn.promise
    return bool(promise._event.is_set() and promise._error is None)
