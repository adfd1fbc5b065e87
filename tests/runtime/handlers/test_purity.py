"""The purity guard in a running runtime: each impure method is named, and nothing of its turn is stored."""

from __future__ import annotations

from itertools import count

import pytest
from attrs import Factory, define, evolve, frozen

import rolebook as rb
from rolebook.actors.testing import PurityError
from rolebook.runtime import MemoryStore
from tests.runtime.apps import Account, Deposit

GUARDED = rb.Settings(check_purity=True)


@rb.event("jar.filled")
@frozen
class Filled:
    amount: float


@rb.command("jar.fill")
@frozen
class Fill(rb.Command[float]):
    how: str


clock = count(1)


@rb.actor("jar")
@define
class Jar:
    content: float = 0.0
    notes: list[str] = Factory(list[str])

    @rb.decide
    def fill(self, command: Fill, turn: rb.DecideTurn) -> rb.Effects[float]:
        if command.how == "clock":
            yield Filled(float(next(clock)))
        elif command.how == "changes":
            self.notes.append("mine")
            yield Filled(1.0)
        elif command.how == "refuses":
            self.notes.append("mine")
            raise rb.Rejected("no")
        elif command.how == "apply":
            yield Filled(-1.0)
        elif command.how == "turn":
            yield Filled(turn.random.random() + turn.now.timestamp())
        else:
            yield Filled(1.0)
        return self.content

    @rb.apply
    def filled(self, event: Filled) -> None:
        self.content += next(clock) if event.amount < 0 else event.amount


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("clock", "Jar.fill decided differently when the same turn was run again"),
        ("changes", "Jar.fill left a state that a replay of its events does not make"),
        ("refuses", "Jar.fill left a state that a replay of its events does not make"),
        ("apply", r"Jar.fill (decided differently|left a state)"),
    ],
)
async def test_what_is_not_pure_is_named(how: str, text: str) -> None:
    """The asker gets the error; the actor goes on from what is stored."""
    app = rb.App("app", actors=[Jar])
    async with rb.open_runtime(app, database="memory:", settings=GUARDED) as runtime:
        assert await runtime.ask(Jar, "a", Fill("well")) == 1
        with pytest.raises(rb.AskFailed, match=text) as caught:
            await runtime.ask(Jar, "a", Fill(how))
        assert isinstance(caught.value.__cause__, PurityError)
        assert await runtime.ask(Jar, "a", Fill("well")) == 2
        assert (await runtime.read(Jar, "a")).content == 2


async def test_turns_dice_and_clock_are_pure() -> None:
    """`turn.now` and `turn.random` are the same when a turn is run again."""
    app = rb.App("app", actors=[Jar])
    async with rb.open_runtime(app, database="memory:", settings=GUARDED) as runtime:
        assert await runtime.ask(Jar, "a", Fill("turn")) > 1


async def test_a_pure_app_runs_the_same() -> None:
    """The guard changes nothing: replies, refusals, state."""
    app = rb.App("app", actors=[Account])
    balances: list[int] = []
    for settings in (GUARDED, evolve(GUARDED, check_purity=False)):
        async with rb.open_runtime(app, database=MemoryStore(), settings=settings) as runtime:
            balances += [await runtime.ask(Account, "a", Deposit(amount)) for amount in (1, 2, 3)]
            with pytest.raises(rb.Rejected):
                await runtime.ask(Account, "a", Deposit(-1))
    assert balances == [1, 3, 6] * 2
