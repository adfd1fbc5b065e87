"""What was stored is what is read: nothing that a class does to its values is done twice."""

import itertools
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest
from attrs import Factory, define, field, frozen, validators

import rolebook as rb
from rolebook.actors import Codec, definition_of


def hundredfold(value: int) -> int:
    return value * 100


def copied(values: list[int]) -> list[int]:
    return list(values)


@rb.event("converted")
@frozen
class Converted:
    amount: int = field(converter=hundredfold)


@rb.event("finished")
@frozen
class Finished:
    amount: int
    items: list[int] = Factory(list[int])

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "amount", self.amount * 100)
        self.items.append(0)


@rb.event("begun")
@frozen
class Begun:
    amount: int
    calls: list[int] = Factory(list[int])

    def __attrs_pre_init__(self) -> None:
        CALLS.append(1)


@rb.event("computed")
@frozen
class Computed:
    amount: int
    ident: UUID = field(init=False, factory=uuid4)
    place: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "place", next(COUNTER))


@rb.event("own")
@define(init=False)
class Own:
    amount: int

    def __init__(self, euros: int) -> None:
        self.amount = euros * 100


@rb.event("hashed")
@frozen(cache_hash=True)
class Hashed:
    amount: int = field(converter=hundredfold)


@rb.event("failed")
@frozen
class Failed(Exception):
    amount: int = field(converter=hundredfold)


@rb.event("counted")
@define(slots=False)
class Counted(dict[str, int]):
    amount: int = field(converter=hundredfold)


@frozen
class Line:
    amount: int = field(converter=hundredfold)
    ident: UUID = field(init=False, factory=uuid4)


@rb.event("nested")
@frozen
class Nested:
    one: Line
    many: list[Line]
    named: dict[str, Line]
    maybe: Line | None = None


@rb.event("wrapped")
@frozen
class Wrapped:
    amount: int


CALLS: list[int] = []
COUNTER = itertools.count()
EVENTS: list[Any] = [
    Converted(5),
    Finished(5),
    Computed(5),
    Own(5),
    Hashed(5),
    Nested(Line(1), [Line(2)], {"a": Line(3)}, Line(4)),
]


@pytest.mark.parametrize("event", EVENTS, ids=[each.__class__.__name__ for each in EVENTS])
def test_what_was_stored_is_what_is_read(event: Any) -> None:
    """However often it is read, and whatever its class does when a value is made."""
    codec = Codec(messages=[event.__class__])
    encoded = codec.encode_event(event)
    for _ in range(3):
        back = codec.decode_event(*encoded)
        assert (back, type(back)) == (event, type(event))
        assert codec.encode_event(back) == encoded


def test_a_kept_hash_is_made_anew() -> None:
    """It is no field, and differs from one process to the next."""
    codec = Codec(messages=[Hashed])
    assert hash(codec.decode_event(*codec.encode_event(Hashed(5)))) == hash(Hashed(5))


def test_an_error_may_be_an_event() -> None:
    """Its class has a way of its own to make an object."""
    codec = Codec(messages=[Failed])
    back = codec.decode_event(*codec.encode_event(Failed(5)))
    assert (back.amount, type(back)) == (500, Failed)


def test_what_is_no_field_of_a_built_in_class_is_refused() -> None:
    """What is in the dict would be lost."""
    with pytest.raises(rb.DefinitionError, match=r"Counted is a dict too, .*; hold it in a field"):
        Codec(messages=[Counted])


def test_nothing_around_the_making_of_a_value_is_run_again() -> None:
    """Neither the hook before it, nor what another decorator put around `__init__`."""

    def doubled(cls: Any) -> Any:
        made = cls.__init__

        def init(self: Any, amount: int) -> None:
            made(self, amount * 2)

        cls.__init__ = init
        return cls

    begun = Begun(5)
    codec = Codec(messages=[Begun, doubled(Wrapped)])
    CALLS.clear()
    assert codec.decode_event(*codec.encode_event(begun)) == begun
    assert CALLS == []
    wrapped: Any = Wrapped(5)
    assert codec.decode_event(*codec.encode_event(wrapped)).amount == wrapped.amount == 10


def test_commands_and_replies_too() -> None:
    """What was sent is what arrives."""

    @rb.command("pay")
    @frozen
    class Pay(rb.Command[Line]):
        amount: int = field(converter=hundredfold)

    codec, pay, line = Codec(messages=[Pay]), Pay(5), Line(5)
    assert codec.decode_command(*codec.encode_command(pay)) == pay
    assert codec.decode_reply(Pay, codec.encode_reply(Pay, line)) == line


def test_snapshots_too() -> None:
    """A live class converts when a field is set, as well: that is not done either."""

    @rb.actor("counter", snapshot_every=1)
    @define
    class Counter:
        amount: int = field(default=1, converter=hundredfold)
        seen: int = field(default=1, init=False, converter=hundredfold)
        lines: list[Line] = Factory(list[Line])

        def __attrs_post_init__(self) -> None:
            self.lines.append(Line(1))

    codec, definition = Codec(), definition_of(Counter)
    state = Counter(5)
    text = codec.encode_state(definition, state)
    assert codec.decode_state(definition, 1, text) == state
    assert (state.amount, state.seen, len(state.lines)) == (500, 100, 1)


def test_a_missing_field_gets_its_default() -> None:
    """As a value that is made now would: converted, and computed from the fields before it."""

    def plus(value: int, instance: Any) -> int:
        return value + int(instance.amount)

    @rb.event("grown")
    @frozen
    class Grown:
        amount: int
        converted: int = field(default=3, converter=hundredfold)
        fresh: list[int] = field(factory=list[int], converter=copied)
        twice: int = field(default=Factory(lambda self: self.amount * 2, takes_self=True), init=False)
        added: int = field(default=1, converter=attrs.Converter(plus, takes_self=True))  # type: ignore[misc]
        derived: int = field(init=False)

        def __attrs_post_init__(self) -> None:
            object.__setattr__(self, "amount", self.amount * 100)
            object.__setattr__(self, "derived", self.twice + 1)

    read = Codec(messages=[Grown]).decode_event
    old = read("grown", 1, '{"amount":5}')
    assert attrs.astuple(old) == (5, 300, [], 10, 6, 11)
    assert old.fresh is not read("grown", 1, '{"amount":5}').fresh
    kept = read("grown", 1, '{"amount":5,"converted":7,"fresh":[1],"twice":1,"added":2,"derived":3}')
    assert attrs.astuple(kept) == (5, 7, [1], 1, 2, 3)


def test_validators_are_asked_of_what_was_stored() -> None:
    """A converted value is not converted once more before it is checked."""

    @rb.command("checked")
    @frozen
    class Checked:
        amount: int = field(converter=hundredfold, validator=validators.le(1000))

    codec = Codec(messages=[Checked])
    assert codec.decode_command(*codec.encode_command(Checked(10))).amount == 1000
    with pytest.raises(rb.Undecodable, match="refused by its class: ValueError"):
        codec.decode_command("checked", 1, '{"amount":1001}')
    with pytest.raises(rb.Undecodable, match="missing field 'amount'"):
        codec.decode_command("checked", 1, "{}")


def test_a_computed_field_that_cannot_be_stored_is_refused() -> None:
    """The error says what to write instead."""

    @rb.event("odd")
    @frozen
    class Odd:
        amount: int
        whole: complex = field(init=False, default=0j)

    with pytest.raises(rb.DefinitionError, match=r"Odd\.whole cannot be stored: .*or make it a property"):
        Codec(messages=[Odd])


def test_fields_may_have_any_name() -> None:
    """Those that a generator of code might use for itself, too."""
    names = ["converter", "cl", "cls", "raw", "value", "rest", "new", "put", "made", "attrs", "typevar_map"]
    names += ["decode_0", "encode_0", "default_1", "finish", "validate", "whole", "o", "res", "__c_a"]
    make_field: Any = field
    for extra in ({}, {"converter": hundredfold}):
        for default in ({}, {"default": 1}):
            fields: Any = {name: make_field(type=int, kw_only=True, **extra, **default) for name in names}
            decorate: Any = rb.event("named")
            cls: Any = decorate(attrs.make_class("Named", fields, frozen=True))
            event: Any = cls(**{each.alias: at for at, each in enumerate(attrs.fields(cls))})
            codec = Codec(messages=[cls])
            assert codec.decode_event(*codec.encode_event(event)) == event


def test_a_field_named_converter_in_every_kind() -> None:
    """The same holds for commands and states."""

    @rb.command("convert")
    @frozen
    class Convert:
        converter: int
        cl: str = "a"

    @rb.actor("cl", snapshot_every=1)
    @define
    class Actor:
        cl: int = 0
        converter: list[int] = field(factory=list[int], init=False)

    codec, definition, state = Codec(messages=[Convert]), definition_of(Actor), Actor(7)
    state.converter.append(1)
    assert codec.decode_command(*codec.encode_command(Convert(1))) == Convert(1)
    assert codec.decode_state(definition, 1, codec.encode_state(definition, state)) == state


def test_what_is_no_field_is_not_written() -> None:
    """A class without slots takes any attribute, and a read would not set it."""

    @rb.event("open")
    @define(slots=False)
    class Open:
        amount: int

        def __attrs_post_init__(self) -> None:
            if self.amount > 5:
                self.extra = 1

        @cached_property
        def twice(self) -> int:
            return 2 * self.amount

    codec, fine = Codec(messages=[Open]), Open(5)
    assert fine.twice == 10
    back = codec.decode_event(*codec.encode_event(fine))
    assert (back, back.twice) == (fine, 10)
    with pytest.raises(rb.Unencodable, match="at extra: is no field, and would be lost; make it one"):
        codec.encode_event(Open(6))
