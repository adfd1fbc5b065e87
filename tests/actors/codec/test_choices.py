"""Choices: the name of a member says what its value means, and both are part of the shape."""

from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from typing import Any, Literal

import attrs
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

import rolebook as rb
from rolebook.actors import Codec, definition_of, find_drift
from rolebook.actors.codec import Fingerprint
from rolebook.actors.codec._choices import changed_members, describe_members, may_follow


def made(kind: Any, **members: Any) -> Any:
    return kind("Status", members)


def shapes(hint: Any) -> list[Fingerprint]:
    """The shape of an event with one field of that type."""
    decorate: Any = rb.event("order.moved")
    return Codec(
        messages=[decorate(attrs.make_class("Moved", {"to": attrs.field(type=hint)}))]
    ).fingerprints()


def changes(before: Any, after: Any) -> list[str]:
    """What a start of the second version after the first finds."""
    drifts = find_drift(shapes(before), shapes(after))
    for drift in drifts:
        assert all(each in str(drift) for each in drift.changes)
    return [change for drift in drifts for change in drift.changes]


@pytest.mark.parametrize("kind", [Enum, IntEnum, Flag, IntFlag])
def test_members_that_changed_places_are_found(kind: Any) -> None:
    """What was stored as shipped would be read as cancelled."""
    before, after = made(kind, SHIPPED=1, CANCELLED=2), made(kind, CANCELLED=1, SHIPPED=2)
    [change] = changes(before, after)
    assert change == "in field 'to', member CANCELLED was 2 and is 1, member SHIPPED was 1 and is 2"
    many: Any = list  # a type checker takes no variable for a type
    assert changes(many[before], many[after]) == [change]
    assert changes(before | None, after | None) == [change]


@pytest.mark.parametrize("kind", [Enum, StrEnum])
def test_a_text_that_changed_is_found(kind: Any) -> None:
    """What is stored could not be read any more."""
    before, after = made(kind, PAID="paid", SENT="sent"), made(kind, PAID="payed", SENT="sent")
    assert changes(before, after) == ["in field 'to', member PAID was 'paid' and is 'payed'"]


def test_a_member_that_is_gone_or_has_another_name_is_found() -> None:
    """Nobody but the programmer knows whether another name means the same."""
    before = made(Enum, PAID=1, SHIPPED=2)
    assert changes(before, made(Enum, PAID=1)) == ["in field 'to', member SHIPPED (2) is gone"]
    assert changes(before, made(Enum, PAID=1, SENT=2)) == ["in field 'to', member SHIPPED (2) is called SENT"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (made(Enum, PAID=1), made(Enum, NEW=0, PAID=1)),
        (made(StrEnum, PAID="paid"), made(StrEnum, PAID="paid", ODD="'|=(,")),
        (made(Flag, PAID=1), made(Flag, PAID=1, SHIPPED=2, ALL=3)),
        (made(Flag, PAID=1, SHIPPED=2, ALL=3), made(Flag, PAID=1, SHIPPED=2, BACK=4, ALL=7)),
        (made(Enum, PAID=(1, 2)), made(Enum, PAID=(3, 4), SHIPPED=(1, 2))),
        (Literal["a"], Literal["a", "b"]),
        (made(Enum, SHIPPED=2), made(Enum, SENT=2, SHIPPED=2)),
        (made(Flag, SHIPPED=2), made(Flag, SENT=2, SHIPPED=2)),
        (dict[made(Enum, PAID="paid"), int], dict[made(Enum, PAID="paid", SENT="sent"), int]),  # type: ignore[misc]
    ],
)
def test_a_member_may_be_added(before: Any, after: Any) -> None:
    """And a member may be renamed, if its old name stays as an alias."""
    assert changes(before, after) == []


def test_a_member_of_another_kind_is_a_change() -> None:
    """With a number among texts, keys are written in another way."""
    assert changes(made(Enum, A="#a"), made(Enum, A="#a", B=1)) != []
    assert changes(Literal["a"], Literal["a", 1]) != []


def test_an_alias_of_what_is_stored_by_name_is_read() -> None:
    """The old name of a member is in old rows."""
    decorate: Any = rb.event("order.moved")
    fields = {"to": attrs.field(type=made(Enum, SENT=(1, 2), SHIPPED=(1, 2)))}
    cls: Any = decorate(attrs.make_class("Moved", fields))
    codec = Codec(messages=[cls])
    assert codec.decode_event("order.moved", 1, '{"to":"SHIPPED"}').to.name == "SENT"


def test_shapes_without_names_are_known() -> None:
    """Those that were kept before names were part of them: values are all that can be compared."""
    [now] = shapes(made(Enum, PAID=1, SHIPPED=2))
    assert find_drift([attrs.evolve(now, shape="{to: enum(1|2)}")], [now]) == []
    [drift] = find_drift([attrs.evolve(now, shape="{to: enum(1|3)}")], [now])
    assert drift.changes == ["in field 'to', the choice 3 is gone"]


def test_a_snapshot_of_members_that_changed_places_is_not_used() -> None:
    """The events are replayed."""

    def actor(status: Any) -> Any:
        state: Any = attrs.make_class("State", {"to": attrs.field(type=status, default=status.SHIPPED)})
        return definition_of(rb.actor("order", snapshot_every=1)(state))

    before, after = made(Enum, SHIPPED=1, GONE=2), made(Enum, GONE=1, SHIPPED=2)
    definition = actor(before)
    text = Codec().encode_state(definition, definition.initial())
    with pytest.raises(rb.Undecodable, match="the state's shape has changed"):
        Codec().decode_state(actor(after), 1, text)


def test_a_change_beside_a_new_member_is_found() -> None:
    """Only the field that changed is named."""

    @frozen
    class Before:
        to: Literal["a"]
        amount: int

    @frozen
    class After:
        to: Literal["a", "b"]
        amount: float

    before, after = (Codec(messages=[rb.event("e")(each)]).fingerprints() for each in (Before, After))
    [drift] = find_drift(before, after)
    assert drift.changes == ["field 'amount' was int and is float"]


texts = st.text(alphabet="ab'\"\\|=(){}, :1", max_size=5)
members = st.dictionaries(texts.filter(bool), texts | st.integers(-3, 3), min_size=1, max_size=4)


@given(members, members)
def test_whatever_members_are_called(one: dict[str, Any], two: dict[str, Any]) -> None:
    """A shape's text is read back as it was meant, whatever is in it."""
    old, new = (f"{{to: enum({describe_members(each.items())})}}" for each in (one, two))
    assert changed_members(old, old) == []
    assert may_follow(old, old)
    kinds = {type(each) for each in one.values()} == {type(each) for each in two.values()}
    assert may_follow(old, new) == (one.items() <= two.items() and kinds)
