"""Replies of a type that was not promised."""

from typing import Any

import pytest
from attrs import define, frozen

import understudy as us
from tests.runtime.apps import Account
from understudy.runtime._replying import AskFailed
from understudy.runtime._store import Store

SETTINGS = us.Settings(partitions=4, poll_interval=0.2, pool_size=2)


@us.event("till.opened")
@frozen
class Opened:
    times: int


@us.command("till.open")
@frozen
class Open(us.Command[int]):
    answer: str | None = None


@us.actor("till")
@define
class Till:
    times: int = 0

    @us.decide
    def open(self, command: Open) -> us.Effects[Any]:
        yield Opened(1)
        return self.times if command.answer is None else command.answer

    @us.apply
    def opened(self, event: Opened) -> None:
        self.times += event.times


async def test_a_reply_of_the_wrong_type_fails_the_turn(store: Store) -> None:
    """The asker gets an error that names the actor, the command and the type; nothing is committed."""
    app = us.App("app", actors=[Till])
    elsewhere = us.App("elsewhere", actors=[Account], messages=[Open])
    async with (
        us.open_runtime(app, database=store, settings=SETTINGS, process="here") as runtime,
        us.open_runtime(elsewhere, database=store, settings=SETTINGS, process="there") as other,
    ):
        assert await runtime.ask(Till, "a", Open()) == 1
        with pytest.raises(us.Unencodable, match=r"till\.open.*by actor 'till' Open is answered with int"):
            await runtime.ask(Till, "a", Open("five"))
        with pytest.raises(AskFailed, match=r"till\.open.*by actor 'till' Open is answered with int"):
            await other.ask("till", "a", Open("five"))
        assert await runtime.ask(Till, "a", Open()) == 2
        assert [each.event.times async for each in runtime.events(Till, "a")] == [1, 1]
        assert await runtime.dead_letters() == []
