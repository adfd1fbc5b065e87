"""A turn that failed leaves nothing in the state: what the next one sees is what the events say."""

import datetime as dt
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from attrs import Factory, define, field, frozen
from attrs.setters import frozen as never_set

import rolebook as rb
from rolebook.runtime import MemoryStore
from rolebook.runtime.handlers._traces import Traces, cannot_change
from rolebook.testing import PurityError, given
from tests.runtime.apps import QUICK


@rb.command("traces.do")
@frozen
class Do(rb.Command[int]):
    """Add something by an event; or spoil the state by some way, and refuse or fail."""

    way: str = ""
    fails: bool = False


@rb.event("traces.added")
@frozen
class Added:
    amount: int


@define
class Box:
    inside: int = 0


@rb.actor("traces", retry=QUICK)
@define
class Untidy:
    total: int = 0
    items: list[int] = Factory(list[int])
    box: Box = Factory(Box)

    @rb.decide
    def do(self, command: Do) -> rb.Effects[int]:
        match command.way:
            case "field":
                self.total = 0
            case "list":
                self.items.append(7)
            case "inside":
                self.box.inside += 1
            case _:
                yield Added(5)
                return self.total + len(self.items) + self.box.inside
        raise ValueError("broken") if command.fails else rb.Rejected("no")

    @rb.apply
    def added(self, event: Added) -> None:
        self.total += event.amount


@rb.actor("tidy")
@define
class Tidy:
    total: int = 0
    last: tuple[str, ...] = ()

    @rb.decide
    def do(self, command: Do) -> rb.Effects[int]:
        if command.way:
            raise rb.Rejected("no")
        yield Added(5)
        return self.total

    @rb.apply
    def added(self, event: Added) -> None:
        self.total += event.amount


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("way", ["field", "list", "inside"])
async def test_what_a_refused_turn_changed_is_not_there(way: str, *, fails: bool) -> None:
    """Refused or failed, asked or told: the next turn sees what the events say."""
    async with rb.open_runtime(rb.App("app", actors=[Untidy]), database=MemoryStore()) as runtime:
        assert await runtime.ask(Untidy, "a", Do()) == 5
        with pytest.raises((rb.Rejected, rb.AskFailed)):
            await runtime.ask(Untidy, "a", Do(way, fails))
        assert await runtime.ask(Untidy, "a", Do()) == 10
        if not fails:
            await runtime.tell(Untidy, "a", Do(way))
        assert await runtime.ask(Untidy, "a", Do()) == 15


async def test_a_refusal_that_changed_nothing_costs_no_load() -> None:
    """The control of the cost: a state of values that cannot be changed in place is kept."""
    async with rb.open_runtime(rb.App("app", actors=[Tidy]), database=MemoryStore()) as runtime:
        await runtime.ask(Tidy, "a", Do())
        for _ in range(20):
            with pytest.raises(rb.Rejected):
                await runtime.ask(Tidy, "a", Do("refuse"))
        assert await runtime.ask(Tidy, "a", Do()) == 10
        assert runtime.statistics().actors["tidy"].recovered == 1


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("way", ["field", "list", "inside"])
def test_the_testing_kit_names_the_decider(way: str, *, fails: bool) -> None:
    """A case that refuses is not passed if the state was changed on the way."""
    with pytest.raises(PurityError, match=r"Untidy\.do"):
        given(Untidy, Added(5)).when(Do(way, fails))
    given(Tidy, Added(5)).when(Do("refuse")).rejected()


class Colour(Enum):
    RED = "red"


@frozen
class Fixed:
    value: object


@frozen(slots=False)
class Loose:
    value: object


@define(on_setattr=never_set)
class HalfFixed:
    value: object


@pytest.mark.parametrize(
    "value",
    [None, 1, "a", b"a", 1.5, Decimal(1), UUID(int=1), Colour.RED, dt.datetime.now(dt.UTC), (1, ("a",)),
     frozenset({1}), Fixed(1), Fixed((Fixed("a"),)), dt.UTC, dt.timedelta(1)]
)  # fmt: skip
def test_what_cannot_change(value: object) -> None:
    """It is kept after a failure, if it is the same object."""
    assert cannot_change(value)


@pytest.mark.parametrize(
    "value", [[], {}, set[int](), ([],), Fixed([]), Loose(1), HalfFixed(1), Box(), bytearray(), object()]
)
def test_what_may_have_changed(value: object) -> None:
    """Nobody can say whether it was changed in place: the state is thrown away."""
    assert not cannot_change(value)


@define
class Unset:
    late: int = field(init=False)


@define(slots=False)
class WithDict:
    value: int = 1


def test_odd_states() -> None:
    """A field that is not set, a state without fields, and one that keeps something beside its fields."""
    empty: type[Any] = define(type("Empty", (), {}))
    traces = Traces(empty)
    assert not traces.may_be_in(empty(), traces.look(empty()))
    traces = Traces(Unset)
    assert traces.may_be_in(Unset(), traces.look(Unset()))
    traces, state = Traces(WithDict), WithDict()
    before = traces.look(state)
    assert not traces.may_be_in(state, before)
    vars(state)["beside"] = 1
    assert traces.may_be_in(state, before)
