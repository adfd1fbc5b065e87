"""The codec: strict where people send, exact everywhere, and clear about what it refuses."""

import collections
import collections.abc
import enum
import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import pytest
from attrs import define, field, frozen, make_class, validators

import rolebook as rb
from rolebook.actors import Codec, definition_of, reply_type

from ..bank import Account, Deposit, Deposited
from .zoo import Box, Circle, Point, Shaped, Square, Tree

T = TypeVar("T")
UNKNOWN: Any = "int | Nowhere"


@rb.command("order.place")
@frozen
class Place(rb.Command[Decimal]):
    item: str
    count: int
    express: bool = False
    price: float = 1.0
    point: Point | None = None
    lines: tuple[Point, ...] = ()


CODEC = Codec([definition_of(Account)], [Place])


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ('{"item":"a","count":1.9}', "at count: expected int, got float 1.9"),
        ('{"item":"a","count":1.0}', "at count: expected int, got float 1.0"),
        ('{"item":"a","count":"1"}', "at count: expected int, got str '1'"),
        ('{"item":"a","count":true}', "at count: expected int, got bool True"),
        ('{"item":"a","count":null}', "at count: expected int, got NoneType None"),
        ('{"item":1,"count":1}', "at item: expected str, got int 1"),
        ('{"item":"a","count":1,"express":"false"}', "at express: expected bool, got str 'false'"),
        ('{"item":"a","count":1,"express":0}', "at express: expected bool, got int 0"),
        ('{"item":"a","count":1,"price":"1.5"}', "at price: expected float, got str '1.5'"),
        ('{"item":"a","count":1,"price":true}', "at price: expected float, got bool True"),
        ('{"item":"a","count":1,"price":9007199254740993}', "at price: 9007199254740993 is no float"),
        ('{"item":"a","count":1,"extra":1}', "unknown field 'extra'"),
        ('{"item":"a"}', "missing field 'count'"),
        ('{"item":"a","cuont":1}', "missing field 'count'; unknown field 'cuont'"),
        ('{"item":"a","count":1,"point":{"x":"1"}}', "at point.x: expected int, got str '1'"),
        ('{"item":"a","count":1,"point":{"x":1,"z":2}}', "at point: unknown field 'z'"),
        ('{"item":"a","count":1,"lines":[{"x":1},{"x":null}]}', "at lines[1].x: expected int"),
        ('{"item":"a","count":1,"lines":"ab"}', "at lines: expected a list, got str 'ab'"),
        ("[]", "expected an object with the fields of Place, got list"),
        ("7", "expected an object with the fields of Place, got int"),
        ("", "it is no JSON"),
        ('{"item":"a","count":', "it is no JSON"),
        ('{"item":"a","count":NaN}', "it is no JSON"),
    ],
)
def test_commands_are_read_strictly(payload: str, problem: str) -> None:
    """Nothing is coerced and nothing is let through; the error says what, where and of which command."""
    with pytest.raises(rb.Undecodable) as caught:
        CODEC.decode_command("order.place", 1, payload)
    error = caught.value
    assert problem in str(error)
    assert (error.kind, error.name, error.version, error.payload) == ("command", "order.place", 1, payload)


def test_whole_number_is_a_float() -> None:
    """Other languages write 1.0 as 1: it is the same number."""
    command = CODEC.decode_command("order.place", 1, '{"item":"a","count":1,"price":2}')
    assert command == Place("a", 1, price=2.0)
    assert type(command.price) is float


def test_unknown_name_and_undecodable_are_different_errors() -> None:
    """The first is for the one who deploys, the second for the one who sent."""
    with pytest.raises(rb.UnknownName, match="this app knows no command of that name"):
        CODEC.decode_command("order.cancel", 1, "{}")
    with pytest.raises(rb.UnknownName, match="this app reads version 1 of it; deploy a newer app"):
        CODEC.decode_command("order.place", 2, "{}")
    with pytest.raises(rb.UnknownName, match="this app knows no event of that name"):
        CODEC.decode_event("order.place", 1, "{}")
    with pytest.raises(rb.UnknownName):
        CODEC.decode_event("nothing", 1, "")


def test_deeply_nested_rubbish_is_undecodable() -> None:
    """A payload made to exhaust the stack is one more row that cannot be read."""
    for deep in ("[" * 100_000, '{"name":"a","parent":' * 5_000):
        with pytest.raises(rb.Undecodable):
            CODEC.decode_command("order.place", 1, deep)


@rb.event("tree.grown")
@frozen
class Grown:
    tree: Tree


def test_one_bad_leaf_deep_down_is_found_at_once() -> None:
    """The cost of an error grows with the depth, not with two to its power."""
    codec = Codec(messages=[Grown])
    text = '{"name":"a","children":[' * 60 + '{"name":1}' + "]}" * 60
    with pytest.raises(rb.Undecodable, match=r"at tree\.children\[0\]\.children.*\.name: expected str"):
        codec.decode_event("tree.grown", 1, f'{{"tree":{text}}}')


def test_value_too_deep_to_read_is_not_written() -> None:
    """What is written can be read."""
    codec = Codec(messages=[Grown])
    tree = Tree("leaf")
    for _ in range(2_000):
        tree = Tree("a", parent=tree)
    with pytest.raises(rb.Unencodable, match="nested too deeply"):
        codec.encode_event(Grown(tree))


@pytest.mark.parametrize(
    ("command", "where", "problem"),
    [
        (Place("a", 1.9), "count", "expected int, got float 1.9"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        (Place("a", True), "count", "expected int, got bool True"),
        (Place("a", 1, price=math.nan), "price", "nan cannot be stored"),
        (Place("a", 1, price=-math.inf), "price", "-inf cannot be stored"),
        (Place("a", 1, price=2**53 + 1), "price", "is no float"),
        (Place("a", 1, price=10**400), "price", "is no float"),
        (Place("\ud800", 1), "", "lone surrogate"),
        (Place("a", 1, lines=(Point(1), Point(None))), "lines[1].x", "expected int"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        (Place("a", 1, lines=[Point(1)]), "lines", "expected tuple, got list"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ],
)
def test_what_would_not_come_back_is_not_written(command: Place, where: str, problem: str) -> None:
    """The sender gets the error, not whoever reads it later."""
    with pytest.raises(rb.Unencodable) as caught:
        CODEC.encode_command(command)
    assert caught.value.where == where
    assert problem in caught.value.problem
    assert "order.place" in str(caught.value)


def test_subclass_of_a_field_is_not_written() -> None:
    """Its own fields would be lost without a word."""

    @frozen
    class Point3(Point):
        z: int = 0

    with pytest.raises(rb.Unencodable, match="expected Point, got Point3"):
        CODEC.encode_command(Place("a", 1, point=Point3(1, 2, 3)))


def test_unregistered_class_is_refused() -> None:
    """A plain object, or an event where a command belongs, has no stored name."""
    with pytest.raises(rb.DefinitionError, match=r"Point has no stored name; write @command"):
        CODEC.encode_command(Point(1))
    with pytest.raises(
        rb.DefinitionError, match=r"is event 'account\.deposited', where the class of a command"
    ):
        CODEC.encode_command(Deposited(1))
    with pytest.raises(rb.DefinitionError, match="has no stored name"):
        CODEC.encode_event(7)


def test_command_of_another_app_can_be_sent() -> None:
    """What is only sent needs no registration to be written; it is not read."""

    @rb.command("elsewhere.do")
    @frozen
    class Elsewhere:
        pass

    assert CODEC.encode_command(Elsewhere()) == ("elsewhere.do", 1, "{}")
    with pytest.raises(rb.UnknownName):
        CODEC.decode_command("elsewhere.do", 1, "{}")


def test_validators_of_a_class_are_heard() -> None:
    """A class that refuses its own fields makes the payload undecodable."""

    @rb.command("checked")
    @frozen
    class Checked:
        amount: int = field(validator=validators.gt(0))

    codec = Codec(messages=[Checked])
    with pytest.raises(rb.Undecodable, match="refused by its class: ValueError") as caught:
        codec.decode_command("checked", 1, '{"amount":0}')
    assert isinstance(caught.value.__cause__, ValueError)


class Movie(TypedDict):
    title: str


class Pair(NamedTuple):
    left: int
    right: int


@dataclass
class Data:
    value: int


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("hint", "remedy"),
    [
        (complex, r"say tuple\[float, float\]"),
        (object, "say Any"),
        (list, r"say of what, such as list\[int\]"),
        (dict, "say of what"),
        (collections.abc.Sequence[int], "say list or tuple"),
        (collections.abc.Set[int], "say frozenset or set"),
        (collections.deque[int], "say list"),
        (collections.OrderedDict[str, int], "say dict"),
        (collections.defaultdict[str, int], "say dict"),
        (collections.Counter[str], "say dict"),
        (bytearray, "say bytes"),
        (Data, "make it an attrs class"),
        (Movie, "make it an attrs class"),
        (Pair, "make it an attrs class"),
        (Text, "would not come back as it was"),
        (type, "would not come back as it was"),
        (collections.abc.Callable[[], int], "would not come back as it was"),
        (T, "type variable ~T is open"),
        (Box, "type variable ~T is open"),
        (dict[Point, int], "keys of Point cannot be stored"),
        (dict[bool, int], "keys of bool cannot be stored"),
        (list[int] | list[str], "both list at run time"),
        (Box[int] | Box[str], "both Box at run time"),
        (int | Any, "Any cannot be a member of a union"),
        (Literal[b"x"], "in a Literal cannot be stored"),
        (list[UNKNOWN], "cannot be resolved"),
        (list[complex], r"say tuple\[float, float\]"),
        (None | complex, r"say tuple\[float, float\]"),
    ],
)
def test_type_that_would_not_come_back_is_refused_when_the_app_is_built(hint: Any, remedy: str) -> None:
    """The error has the path to the field and the remedy."""
    inner = make_class("Inner", {"value": field(type=hint)})
    bad: Any = make_class("Bad", {"inner": field(type=inner)})
    rb.event("bad")(bad)
    with pytest.raises(rb.DefinitionError, match=remedy) as caught:
        rb.App("app", messages=[bad])
    assert "event 'bad'" in str(caught.value)
    assert "Bad.inner.value" in str(caught.value)


def test_field_without_a_type_is_refused() -> None:
    """Without a type there is nothing to hold a value against."""

    @rb.event("bare")
    @define
    class Bare:
        value = field(default=None)  # type: ignore[var-annotated]

    with pytest.raises(rb.DefinitionError, match=r"Bare\.value cannot be stored: has no type; annotate it"):
        Codec(messages=[Bare])


def test_union_of_classes_is_tagged() -> None:
    """A registered class is tagged with its stored name, another with its own."""

    @rb.event("union")
    @frozen
    class Union:
        value: Deposited | Circle | Square | int | None

    codec = Codec(messages=[Union])
    for value, text in (
        (Deposited(1), '{"value":{"account.deposited":{"amount":1}}}'),
        (Square(Point(1)), '{"value":{"Square":{"corner":{"x":1,"y":0}}}}'),
        (7, '{"value":{"int":7}}'),
        (None, '{"value":null}'),
    ):
        assert codec.encode_event(Union(value)).payload == text
        assert codec.decode_event("union", 1, text) == Union(value)
    for bad in (
        '{"value":{"Circle":1,"Square":2}}',
        '{"value":{"Triangle":{}}}',
        '{"value":7}',
        '{"value":{}}',
    ):
        with pytest.raises(rb.Undecodable, match="at value"):
            codec.decode_event("union", 1, bad)


def test_literals_and_enums_do_not_mix_up_kinds() -> None:
    """True is not 1 and 1.0 is not 1, though Python says they are equal."""

    class Level(enum.IntEnum):
        ONE = 1

    @rb.event("kinds")
    @frozen
    class Kinds:
        literal: Literal[1]
        level: Level

    codec = Codec(messages=[Kinds])
    assert codec.decode_event("kinds", 1, '{"literal":1,"level":1}') == Kinds(1, Level.ONE)
    for bad in ("true", "1.0", '"1"', "null", "[]", "{}"):
        with pytest.raises(rb.Undecodable):
            codec.decode_event("kinds", 1, f'{{"literal":{bad},"level":1}}')
        with pytest.raises(rb.Undecodable):
            codec.decode_event("kinds", 1, f'{{"literal":1,"level":{bad}}}')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("PT1S", timedelta(seconds=1)),
        ("P1D", timedelta(days=1)),
        ("P-1DT86399.999999S", timedelta(microseconds=-1)),
        ("PT1H1M1.5S", timedelta(hours=1, minutes=1, seconds=1.5)),
    ],
)
def test_durations_are_iso_8601(text: str, value: timedelta) -> None:
    """Other languages can write them."""

    @rb.event("wait")
    @frozen
    class Wait:
        time: timedelta

    codec = Codec(messages=[Wait])
    assert codec.decode_event("wait", 1, f'{{"time":"{text}"}}') == Wait(value)
    for bad in ("P", "PT", "P1DT", "1", "PT1.S", "P1Y", ""):
        with pytest.raises(rb.Undecodable):
            codec.decode_event("wait", 1, f'{{"time":"{bad}"}}')


def test_a_date_is_no_datetime() -> None:
    """Midnight is not guessed."""

    @rb.event("when")
    @frozen
    class When:
        time: datetime

    codec = Codec(messages=[When])
    assert codec.decode_event("when", 1, '{"time":"2013-01-01T05:17:00Z"}').time.utcoffset() == timedelta(0)
    odd = When(datetime(2013, 1, 1, tzinfo=timezone(timedelta(seconds=17))))
    assert codec.decode_event(*codec.encode_event(odd)) == odd
    for bad in ("2013-01-01", "20130101", "now", ""):
        with pytest.raises(rb.Undecodable):
            codec.decode_event("when", 1, f'{{"time":"{bad}"}}')


def test_text_keeps_nul_and_every_plane() -> None:
    """The JSON text is plain Unicode; a NUL is written as an escape."""
    command = Place("\0\U0001f600ä\u2028", 1)
    encoded = CODEC.encode_command(command)
    assert "\0" not in encoded.payload
    assert CODEC.decode_command(*encoded) == command


def test_reply_type_is_read_from_the_command() -> None:
    """`Command[int]` is answered with an int; a bare command with anything."""

    @frozen
    class Base(rb.Command[T], Generic[T]):
        pass

    class Child(Base[str]):
        pass

    assert reply_type(Deposit) is int
    assert reply_type(Place) is Decimal
    assert reply_type(Child) is str
    assert reply_type(Point) is Any


def test_replies_are_checked_both_ways() -> None:
    """A reply of another type than the command promises is found before it leaves."""
    assert CODEC.decode_reply(Place, CODEC.encode_reply(Place, Decimal("1.50"))) == Decimal("1.50")
    with pytest.raises(
        rb.Unencodable, match=r"reply 'account\.deposit' cannot be stored: expected int, got str 'x'"
    ):
        CODEC.encode_reply(Deposit, "x")
    with pytest.raises(rb.Undecodable, match="expected int"):
        CODEC.decode_reply(Deposit, '"x"')


def test_reply_that_cannot_be_stored_is_refused_when_the_app_is_built() -> None:
    """The type of a reply is checked like that of a field."""

    @rb.command("bad")
    @frozen
    class Bad(rb.Command[complex]):
        pass

    with pytest.raises(rb.DefinitionError, match=r"command 'bad': the reply to .*Bad cannot be stored"):
        Codec(messages=[Bad])


def test_anything_is_what_json_can_hold() -> None:
    """A field of Any takes JSON's own values, and refuses those that would come back as something else."""

    @rb.event("any")
    @frozen
    class Free:
        value: Any

    codec = Codec(messages=[Free])
    fine = {"a": [1, 2.5, None, True, {"b": "c", "d": 2**100}]}
    assert codec.decode_event(*codec.encode_event(Free(fine))) == Free(fine)
    for bad, where in (
        ((1, 2), "value"),
        ({1: 2}, "value"),
        ([{"a": {1}}], "value[0]['a']"),
        (Point(1), "value"),
    ):
        with pytest.raises(rb.Unencodable) as caught:
            codec.encode_event(Free(bad))
        assert caught.value.where == where


def test_set_with_repeats_is_undecodable() -> None:
    """It was not written by this codec."""

    @rb.event("set")
    @frozen
    class Members:
        names: frozenset[str]

    codec = Codec(messages=[Members])
    assert codec.encode_event(Members(frozenset("bac"))).payload == '{"names":["a","b","c"]}'
    with pytest.raises(rb.Undecodable, match="without repeats"):
        codec.decode_event("set", 1, '{"names":["a","a"]}')


def test_nested_event_is_stored_whole() -> None:
    """An event may hold a union of classes, and be held."""
    codec = Codec(messages=[Shaped])
    event = Shaped(Circle(Point(1, 2), 3.0))
    assert codec.encode_event(event).payload == '{"shape":{"Circle":{"centre":{"x":1,"y":2},"radius":3.0}}}'
    assert codec.decode_event(*codec.encode_event(event)) == event


class Marked(enum.Enum):
    TEXT = "#1"
    NUMBER = 1
    DOUBLE = "##1"
    PLAIN = "1"


def test_keys_of_a_mixed_enum_stay_apart() -> None:
    """A text that looks like a marked number is none."""

    @rb.event("marked")
    @frozen
    class Event:
        counts: dict[Marked, int]

    event = Event({each: place for place, each in enumerate(Marked)})
    codec = Codec(messages=[Event])
    assert codec.decode_event(*codec.encode_event(event)) == event


def test_a_time_whose_zone_would_be_lost_is_not_written() -> None:
    """A bare time has no offset in a zone that changes its own; in one that does not it has."""

    @rb.event("timed")
    @frozen
    class Event:
        at: time

    codec = Codec(messages=[Event])
    with pytest.raises(rb.Unencodable, match=r"at at: .* has a zone without a fixed offset"):
        codec.encode_event(Event(time(12, tzinfo=ZoneInfo("Europe/Berlin"))))
    event = Event(time(12, tzinfo=UTC))
    assert codec.decode_event(*codec.encode_event(event)) == event


def test_the_annotation_that_cannot_be_resolved_is_named() -> None:
    """Not its neighbours, which are text too under `from __future__ import annotations`."""
    fields = {"count": "int", "place": "Nowhere", "name": "str"}
    cls = frozen(type("Event", (), {"__annotations__": fields, "__module__": __name__}))
    with pytest.raises(rb.DefinitionError, match=r"Event\.place cannot be stored: the annotation 'Nowhere'"):
        Codec(messages=[rb.event("text")(cls)])


@rb.command("forward")
@frozen
class Forward(rb.Command["list[Answer]"]):
    pass


@rb.command("backward")
@frozen
class Backward(rb.Command["Nowhere"]):  # type: ignore[name-defined] # pyright: ignore[reportUndefinedVariable] # the mistake
    pass


@frozen
class Answer:
    text: str


def test_a_reply_may_be_defined_after_its_command() -> None:
    """Its class is then named by a text, which is resolved in the command's module, or named in the error."""
    assert reply_type(Forward) == list[Answer]
    codec = Codec(messages=[Forward])
    assert codec.decode_reply(Forward, codec.encode_reply(Forward, [Answer("yes")])) == [Answer("yes")]
    with pytest.raises(rb.DefinitionError, match=r"reply to Backward cannot .* annotation 'Nowhere'"):
        Codec(messages=[Backward])
