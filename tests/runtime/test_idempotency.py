"""Idempotency keys: a repeated ask or tell returns the first outcome, and nothing happens a second time."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import trio
from attrs import define, frozen

import rolebook as rb
from rolebook.runtime import Runtime
from rolebook.runtime.contract import Store
from tests.runtime.apps import QUICK, Account, Broken
from tests.waiting import eventually

SETTINGS = rb.Settings(partitions=4, poll_interval=0.2, take_interval=0.05, pool_size=2)


@rb.event("purse.taken")
@frozen
class Taken:
    amount: int


@rb.command("purse.take")
@frozen
class Take(rb.Command[int]):
    amount: int
    failures: int = 0


@rb.actor("purse", retry=QUICK)
@define
class Purse:
    content: int = 100

    @rb.decide
    def take(self, command: Take, turn: rb.DecideTurn) -> rb.Effects[int]:
        if command.amount > self.content:
            raise rb.Rejected("not enough")
        yield Taken(command.amount)
        if turn.attempt <= command.failures:
            raise Broken("as told")
        return self.content

    @rb.apply
    def taken(self, event: Taken) -> None:
        self.content -= event.amount


APP = rb.App("app", actors=[Purse])
ELSEWHERE = rb.App("elsewhere", actors=[Account], messages=[Take])


@pytest.fixture
async def runtime(store: Store) -> AsyncGenerator[Runtime]:
    """A runtime that owns the actors."""
    async with rb.open_runtime(APP, database=store, settings=SETTINGS, process="here") as runtime:
        yield runtime


@pytest.fixture
async def other(store: Store, runtime: Runtime) -> AsyncGenerator[Runtime]:
    """Another process, without the actor."""
    async with rb.open_runtime(ELSEWHERE, database=store, settings=SETTINGS, process="there") as other:
        yield other


async def test_a_repeated_ask_returns_the_first_reply(runtime: Runtime, other: Runtime) -> None:
    """Asked again, here or in another process, it is not done again."""
    assert await runtime.ask(Purse, "a", Take(60), idempotency_key="one") == 40
    assert await runtime.ask(Purse, "a", Take(10)) == 30
    assert await runtime.ask(Purse, "a", Take(60), idempotency_key="one") == 40
    assert await other.ask("purse", "a", Take(60), idempotency_key="one") == 40
    assert await other.ask("purse", "a", Take(20), idempotency_key="two") == 10
    assert await runtime.ask(Purse, "a", Take(20), idempotency_key="two") == 10
    assert (await runtime.read(Purse, "a")).content == 10


async def test_a_repeated_ask_returns_the_first_refusal(runtime: Runtime, other: Runtime) -> None:
    """A refusal is an outcome: it stays one, even if the actor would not refuse any more."""
    with pytest.raises(rb.Rejected, match="not enough"):
        await runtime.ask(Purse, "a", Take(200), idempotency_key="one")
    for asker in (runtime, other):
        with pytest.raises(rb.Rejected, match="not enough"):
            await asker.ask("purse", "a", Take(1), idempotency_key="one")
    assert await runtime.ask(Purse, "b", Take(1), idempotency_key="one") == 99, "keys belong to one actor"


async def test_a_failure_is_no_outcome(runtime: Runtime) -> None:
    """After an error the same key may be tried again."""
    with pytest.raises(rb.AskFailed):
        await runtime.ask(Purse, "a", Take(1, failures=1), idempotency_key="one")
    assert await runtime.ask(Purse, "a", Take(1), idempotency_key="one") == 99


async def test_a_repeated_tell_has_no_effect(runtime: Runtime, other: Runtime) -> None:
    """However often it is told, by whomever, it happens once; also if it would be refused by now, or fail."""
    for sender in (runtime, other, runtime):
        await sender.tell("purse", "a", Take(60), idempotency_key="one")
    await runtime.tell(Purse, "a", Take(60), delay=0.01, idempotency_key="one")
    await runtime.tell(Purse, "a", Take(5, failures=9), idempotency_key="one")
    await runtime.tell(Purse, "a", Take(1))

    async def all_done() -> bool:
        return await runtime.depths() == {"purse": 0}

    await eventually(all_done)
    assert (await runtime.read(Purse, "a")).content == 39
    assert await runtime.dead_letters() == []
    assert await runtime.ask(Purse, "a", Take(60), idempotency_key="one") == 40, "the tell's first outcome"


async def test_a_told_command_that_is_tried_again_happens_once(runtime: Runtime) -> None:
    """A retry of the first is not taken for a repetition of it."""
    await runtime.tell(Purse, "a", Take(5, failures=2), idempotency_key="one")
    await runtime.tell(Purse, "a", Take(5), idempotency_key="one")

    async def all_done() -> bool:
        return await runtime.depths() == {"purse": 0}

    await eventually(all_done)
    assert (await runtime.read(Purse, "a")).content == 95


async def test_concurrent_duplicates_resolve_to_one(runtime: Runtime, other: Runtime) -> None:
    """Twenty that ask the same at the same time, in two processes, all get the one outcome."""
    replies: list[int] = []

    async def ask(asker: Runtime, number: int) -> None:
        replies.append(await asker.ask("purse", "a", Take(number), idempotency_key="one"))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(1, 11):
                nursery.start_soon(ask, runtime, number)
                nursery.start_soon(ask, other, number)
    assert len(replies) == 20
    assert set(replies) == {(await runtime.read(Purse, "a")).content}
    assert len([each async for each in runtime.events(Purse, "a")]) == 1


async def test_the_first_outcome_expires(store: Store) -> None:
    """After its retention the key is free again, and its row is deleted."""
    settings = rb.Settings(partitions=4, pool_size=2, poll_interval=0.05, idempotency_retention=0.01)
    async with rb.open_runtime(APP, database=store, settings=settings, process="here") as runtime:
        assert await runtime.ask(Purse, "a", Take(1), idempotency_key="one") == 99
        replies = {99}

        async def asked_again() -> bool:
            replies.add(await runtime.ask(Purse, "a", Take(1), idempotency_key="one"))
            return 98 in replies

        await eventually(asked_again)


@pytest.mark.parametrize("key", ["", "a\0b", "x" * 600])
async def test_a_key_that_cannot_be_stored_is_refused(runtime: Runtime, key: str) -> None:
    """An idempotency key is a key like others."""
    with pytest.raises(rb.InvalidKey):
        await runtime.ask(Purse, "a", Take(1), idempotency_key=key)
    with pytest.raises(rb.InvalidKey):
        await runtime.tell(Purse, "a", Take(1), idempotency_key=key)


async def test_headers_of_the_user_do_not_count(runtime: Runtime) -> None:
    """The runtime's own header cannot be given, and a decider does not pass it on."""
    await runtime.ask(Purse, "a", Take(1), headers={"idempotency": "x"})
    assert await runtime.ask(Purse, "a", Take(1), headers={"idempotency": "x"}) == 98
