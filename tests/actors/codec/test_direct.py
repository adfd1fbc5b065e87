"""The short way into an object: taken where nothing would be different, and nowhere else."""

from collections.abc import Callable
from typing import Any, NewType, Self

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rolebook as rb
from rolebook.actors import Codec
from rolebook.actors.codec._direct import is_direct
from rolebook.actors.codec._shapes import Shapes

from .test_properties import exactly

Cents = NewType("Cents", int)


@attrs.frozen
class Inner:
    number: int
    text: str = "none"


@rb.event("plain")
@attrs.frozen
class Plain:
    number: int
    cents: Cents = Cents(5)
    text: str = ""
    flag: bool = False
    maybe: int | None = None
    items: list[Inner] = attrs.Factory(list[Inner])
    inner: Inner | None = attrs.field(default=None, kw_only=True)
    many: tuple[str, ...] = ()


def _anything(_instance: object, _attribute: object, _value: object) -> None:
    pass


def _checked(fields: list["attrs.Attribute[Any]"]) -> type:
    """The same class with a validator that lets everything through, which makes it take the long way."""
    made: Any = attrs.make_class(
        "Plain",
        {
            each.name: attrs.field(
                type=each.type, default=each.default, kw_only=each.kw_only, validator=_anything
            )
            for each in fields
        },
        frozen=True,
    )
    rb.event("plain")(made)
    kind: type = made
    return kind


CHECKED = _checked(list(attrs.fields(Plain)))
SHORT, LONG = Codec(messages=[Plain]), Codec(messages=[CHECKED])

VAST = "9" * 5000
"""More digits than Python makes an int of."""

NUMBERS = ["0", "-0", "7", "-7", "1.0", "1e2", "0.5", "9" * 30, "-" + "9" * 30, VAST, "1e400"]
TEXTS = ['""', '"7"', '"\\u00e9\\u0000"', '"\\ud800"']
OTHERS = ["null", "true", "[]", "{}", '{"number":1}', '["a"]', "[null]", '[{"number":"1"}]', '{"text":"a"}']
NESTED = ['[{"number":1,"more":[1]}]', '{"number":1,"text":7}', '[{"number":1},{"number":2,"text":"b"}]']
raw_values = st.sampled_from(NUMBERS + TEXTS + OTHERS + NESTED)
names = st.sampled_from([*(each.name for each in attrs.fields(Plain)), "unknown", "n\\u0075mber"])
documents = st.lists(st.tuples(names, raw_values), max_size=6).map(
    lambda pairs: "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
)


def _is_comparable(text: str) -> bool:
    """Whether no unknown field holds a number that does not fit: one way reads it, the other skips it."""
    return "1e400" not in text and f'"unknown": {VAST}' not in text


def _read(codec: Codec, text: str) -> Any:
    try:
        return exactly(codec.decode_event("plain", 1, text))[1:]
    except rb.Undecodable as error:
        return str(error)


def test_the_two_ways_are_taken() -> None:
    """The comparison below compares something."""
    shapes = Shapes("tolerant")
    assert shapes.of(Plain, "").direct
    assert not shapes.of(CHECKED, "").direct


@settings(max_examples=500, deadline=None)
@given(st.tuples(raw_values, documents).map(lambda pair: pair[1].replace("{", f'{{"number": {pair[0]}, ', 1)))
def test_both_ways_give_the_same(text: str) -> None:
    """Value and class, or the error, whatever the text says; but what an unknown field holds need not fit."""
    text = text.replace(", }", "}")
    if _is_comparable(text):
        assert _read(LONG, text) == _read(SHORT, text)


@given(st.text(max_size=20) | documents | raw_values)
def test_noise_is_the_same_error(text: str) -> None:
    """A text that is no object of that class is refused in the same words."""
    if _is_comparable(text):
        assert _read(LONG, text) == _read(SHORT, text)


def _hooked() -> type:
    @attrs.frozen
    class Hooked:
        number: int

        def __attrs_post_init__(self) -> None:
            raise ValueError

    return Hooked


def _hooked_before() -> type:
    @attrs.frozen
    class HookedBefore:
        number: int

        def __attrs_pre_init__(self) -> None:
            raise ValueError

    return HookedBefore


def _own_init() -> type:
    @attrs.frozen
    class OwnInit:
        number: int

        def __init__(self, number: int) -> None:
            object.__setattr__(self, "number", number + 1)

    return OwnInit


def _own_new() -> type:
    @attrs.frozen
    class OwnNew:
        number: int

        def __new__(cls, *_: object, **__: object) -> Self:
            return object.__new__(cls)

    return OwnNew


def _wrapped() -> type:
    @attrs.frozen
    class Wrapped:
        number: int

    made: Callable[..., None] = Wrapped.__init__

    def checking(self: Wrapped, number: int) -> None:
        made(self, number)

    setattr(Wrapped, "__init__", checking)  # noqa: B010 - what decorators that check types do
    return Wrapped


def _made(**given: Any) -> Callable[[], type]:
    options: dict[str, Any] = {"frozen": True, **given}
    return lambda: attrs.make_class("Made", {"number": attrs.field(type=int)}, **options)


def _with(**options: Any) -> Callable[[], type]:
    return lambda: attrs.make_class("With", {"number": attrs.field(type=int, **options)}, frozen=True)


@pytest.mark.parametrize(
    "make",
    [
        _hooked,
        _hooked_before,
        _own_init,
        _own_new,
        _wrapped,
        _made(frozen=False),
        _made(cache_hash=True, unsafe_hash=True),
        _made(bases=(Exception,), auto_exc=True),
        _with(converter=int),
        _with(validator=_anything),
        _with(init=False, default=3),
        _with(default=attrs.Factory(lambda _: 1, takes_self=True)),
        lambda: attrs.make_class("Other", {"number": attrs.field(type=float)}, frozen=True),
    ],
)
def test_a_class_that_does_more_takes_the_long_way(make: Callable[[], type]) -> None:
    """Whatever `__init__` does besides setting fields happens to an event that is read, too."""
    cls = make()
    shapes = Shapes("tolerant")
    fields = [shapes.of(each.type, "") for each in attrs.fields(cls)]
    assert not is_direct(cls, fields) or not shapes.of(cls, "").direct


@pytest.mark.parametrize("slots", [True, False])
def test_slots_or_not(*, slots: bool) -> None:
    """Both kinds of classes are read the short way, and come out as they went in."""
    made: Any = attrs.make_class("Made", {"number": attrs.field(type=int)}, frozen=True, slots=slots)
    rb.event("made")(made)
    assert Shapes("tolerant").of(made, "").direct
    codec = Codec(messages=[made])
    back = codec.decode_event(*codec.encode_event(made(3)))
    assert (made(3), hash(made(3))) == (back, hash(back))


def test_commands_take_the_long_way() -> None:
    """An unknown field in a command is refused; the short way would pass over it."""
    assert not Shapes("strict").of(Plain, "").direct
    assert not Shapes("complete").of(Plain, "").direct
