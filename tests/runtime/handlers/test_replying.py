"""Replies of a type that was not promised."""

from typing import Any

import pytest
from attrs import define, frozen

import rolebook as rb
from rolebook.runtime.contract import AskFailed, Store
from tests.runtime.apps import Account

SETTINGS = rb.Settings(partitions=4, poll_interval=0.2, pool_size=2)


@rb.event("till.opened")
@frozen
class Opened:
    times: int


@rb.command("till.open")
@frozen
class Open(rb.Command[int]):
    answer: str | None = None


@rb.actor("till")
@define
class Till:
    times: int = 0

    @rb.decide
    def open(self, command: Open) -> rb.Effects[Any]:
        yield Opened(1)
        return self.times if command.answer is None else command.answer

    @rb.apply
    def opened(self, event: Opened) -> None:
        self.times += event.times


async def test_a_reply_of_the_wrong_type_fails_the_turn(store: Store) -> None:
    """The asker gets an error that names the actor, the command and the type; nothing is committed."""
    app = rb.App("app", actors=[Till])
    elsewhere = rb.App("elsewhere", actors=[Account], messages=[Open])
    async with (
        rb.open_runtime(app, database=store, settings=SETTINGS, process="here") as runtime,
        rb.open_runtime(elsewhere, database=store, settings=SETTINGS, process="there") as other,
    ):
        assert await runtime.ask(Till, "a", Open()) == 1
        for asker in (runtime, other):
            with pytest.raises(AskFailed, match=r"till\.open.*by actor 'till' Open is answered with int"):
                await asker.ask("till", "a", Open("five"))
        assert await runtime.ask(Till, "a", Open()) == 2
        assert [each.event.times async for each in runtime.events(Till, "a")] == [1, 1]
        assert await runtime.dead_letters() == []
