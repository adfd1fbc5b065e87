"""Texts that a store may stumble over, on every way that a text can take through it."""

import pytest
import trio
from attrs import define, field, frozen

import rolebook as rb
from rolebook.runtime import Settings
from rolebook.runtime.contract import Store
from tests.runtime.apps import QUICK, Account
from tests.waiting import eventually

SETTINGS = Settings(poll_interval=0.05)

TEXTS = ["\0", "a\0b", "", "null", '{"a": "\\u0000"}', "\\", '"', "'", "{,}", "\r\n\t", "\u2028\ufeff", "🎭é"]


@rb.event("page.written")
@frozen
class Written:
    text: str


@rb.command("page.write")
@frozen
class Write(rb.Command[list[str]]):
    text: str
    to: str | None = None


@rb.actor("page", retry=QUICK, snapshot_every=1)
@define
class Page:
    lines: list[str] = field(factory=list[str])

    @rb.decide
    def write(self, command: Write, turn: rb.DecideTurn) -> rb.Effects[list[str]]:
        yield Written(command.text + turn.headers.get("more", ""))
        if command.to is not None:
            yield rb.Tell(Page, command.to, Write(command.text), delay=0.001, headers={"more": command.text})
        return list(self.lines)

    @rb.apply
    def written(self, event: Written) -> None:
        self.lines.append(event.text)


APP = rb.App("here", actors=[Page])
ELSEWHERE = rb.App("there", actors=[Account], messages=[Write])


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_a_text_comes_through_as_it_was(store: Store, text: str) -> None:
    """In events, snapshots, replies, first outcomes, headers, and messages for later."""
    async with (
        rb.open_runtime(APP, database=store, settings=SETTINGS, process="here") as runtime,
        rb.open_runtime(ELSEWHERE, database=store, settings=SETTINGS, process="there") as other,
    ):
        with trio.fail_after(60):
            assert [text] == await runtime.ask(Page, "a", Write(text, to="b"))
            assert [text] == await runtime.ask(Page, "c", Write(text), idempotency_key="one")
            assert [text] == await other.ask("page", "c", Write(text), idempotency_key="one")
            assert [text, text] == await other.ask("page", "c", Write(text))
            await runtime.tell(Page, "d", Write(text), delay=0.001)

            async def arrived() -> bool:
                states = await runtime.read_many(Page, ["b", "d"])
                return all(state.lines for state in states.values())

            await eventually(arrived)
            assert [text + text] == (await runtime.read(Page, "b")).lines
            assert [text] == (await runtime.read(Page, "d")).lines
