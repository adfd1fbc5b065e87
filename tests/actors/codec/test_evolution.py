"""Evolution: old events, renamed classes, snapshots, and changes that nobody announced."""

from typing import Any

import pytest
from attrs import define, field, frozen

import rolebook as rb
from rolebook.actors import Codec, StoredName, definition_of, find_drift
from rolebook.actors.codec._changes import fits_as_it_is


def forget(old: dict[str, Any]) -> Any:
    old.clear()


def add_currency(old: dict[str, Any]) -> dict[str, Any]:
    return old | {"currency": "EUR"}


def to_cents(old: dict[str, Any]) -> dict[str, Any]:
    return {"cents": old["amount"] * 100, "currency": old["currency"]}


@rb.event("account.paid", version=3, upcast={1: add_currency, 2: to_cents}, aliases=("account.payed",))
@frozen
class Paid:
    cents: int
    currency: str
    note: str = ""


@rb.command("account.pay", version=2, upcast={1: add_currency})
@frozen
class Pay:
    amount: int
    currency: str


@rb.actor(
    "account", snapshot_every=10, state_version=2, state_upcast={1: lambda old: {"cents": old["sum"] * 100}}
)
@define
class Account:
    cents: int = 0
    seen: int = field(default=0, init=False)

    @rb.decide
    def pay(self, command: Pay) -> rb.Effects[None]:
        yield Paid(command.amount * 100, command.currency)

    @rb.apply
    def paid(self, event: Paid) -> None:
        self.cents += event.cents
        self.seen += 1


DEFINITION = definition_of(Account)
CODEC = Codec([DEFINITION])


def test_old_events_go_through_their_upcasters() -> None:
    """From each version to the next, up to today's."""
    assert CODEC.decode_event("account.paid", 1, '{"amount":5}') == Paid(500, "EUR")
    assert CODEC.decode_event("account.paid", 2, '{"amount":5,"currency":"USD"}') == Paid(500, "USD")
    assert CODEC.decode_event("account.paid", 3, '{"cents":5,"currency":"USD"}') == Paid(5, "USD")
    assert CODEC.encode_event(Paid(5, "USD")).version == 3


def test_renamed_events_are_still_read() -> None:
    """An alias is read in every version and never written."""
    assert CODEC.decode_event("account.payed", 1, '{"amount":5}') == Paid(500, "EUR")
    assert CODEC.encode_event(Paid(5, "USD")).name == "account.paid"


def test_unknown_fields_of_old_events_are_passed_over() -> None:
    """A field that was dropped needs no upcaster; a wrong type is still an error."""
    assert CODEC.decode_event("account.paid", 3, '{"cents":5,"currency":"USD","gone":1}') == Paid(5, "USD")
    with pytest.raises(rb.Undecodable, match="at cents: expected int, got str"):
        CODEC.decode_event("account.paid", 3, '{"cents":"5","currency":"USD"}')


def test_commands_in_flight_are_upcast_and_read_strictly() -> None:
    """A deployment does not lose what was sent before it."""
    assert CODEC.decode_command("account.pay", 1, '{"amount":5}') == Pay(5, "EUR")
    with pytest.raises(rb.Undecodable, match="unknown field 'extra'"):
        CODEC.decode_command("account.pay", 1, '{"amount":5,"extra":1}')


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ("{}", "its upcaster from version 2 raised KeyError: 'amount'"),
        ("[]", "expected an object, got list"),
        ('{"amount":"5"}', "at cents: expected int, got str '555"),
    ],
)
def test_upcaster_that_fails_is_named(payload: str, problem: str) -> None:
    """The error says from which version it was to lead."""
    with pytest.raises(rb.Undecodable) as caught:
        CODEC.decode_event("account.paid", 1, payload)
    assert problem in str(caught.value)


def test_upcaster_that_returns_no_dict_is_named() -> None:
    """A forgotten return is a usual mistake."""

    @rb.event("thing", version=2, upcast={1: forget})
    @frozen
    class Thing:
        pass

    with pytest.raises(rb.Undecodable, match="its upcaster from version 1 returned NoneType, not a dict"):
        Codec(messages=[Thing]).decode_event("thing", 1, "{}")


def test_version_without_an_upcaster_is_unknown() -> None:
    """The error says which versions are read."""

    @rb.event("thing", version=4, upcast={3: dict})
    @frozen
    class Thing:
        pass

    codec = Codec(messages=[Thing])
    assert codec.decode_event("thing", 3, "{}") == Thing()
    for version in (1, 2, 5):
        with pytest.raises(rb.UnknownName, match="this app reads versions 3 to 4 of it"):
            codec.decode_event("thing", version, "{}")


@pytest.mark.parametrize("kind", ["event", "command"])
def test_version_without_any_upcaster_reads_older_ones_as_they_are(kind: str) -> None:
    """A field with a default is filled in; one without is missed; a version of tomorrow is unknown."""

    @frozen
    class Thing:
        old: int
        new: str = "none"

    decorate: Any = getattr(rb, kind)("thing", version=3, aliases=("thang",))
    codec = Codec(messages=[decorate(Thing)])
    read: Any = getattr(codec, f"decode_{kind}")
    for version in (1, 2, 3):
        assert read("thing", version, '{"old":5}') == read("thang", version, '{"old":5}') == Thing(5)
        assert StoredName(kind, "thang", version) in set(codec.names())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(rb.Undecodable, match="version 2: missing field 'old'"):
        read("thing", 2, "{}")
    for version in (0, 4):
        with pytest.raises(rb.UnknownName, match="this app reads versions 1 to 3 of it"):
            read("thing", version, '{"old":5}')


@pytest.mark.parametrize(
    ("before", "fits", "in_a_command"),
    [
        ("{old: int}", True, True),
        ("{old?: int}", True, True),
        ("{old: int, inner: {a: int}}", True, True),
        ("{old: int, gone: int}", True, False),
        ("{old: float}", False, False),
        ("{}", False, False),
        ("{old: int, inner: {b: int}}", False, False),
        ("{old: int, inner: {a: int}|None}", False, False),
        ("{old: int, to: enum(A=1)}", True, True),
        ("{old: int, to: enum(A=2)}", False, False),
    ],
)
def test_older_shapes_that_are_read_as_they_are(before: str, fits: bool, in_a_command: bool) -> None:
    """What is in both must be the same, and what is new must have a default."""
    after = "{old: int, inner?: {a: int, b?: int}, to?: enum(A=1|B=2)}"
    assert fits_as_it_is(before, after, strict=False) == fits
    assert fits_as_it_is(before, after, strict=True) == in_a_command


def test_names_list_everything_that_can_be_read() -> None:
    """For a check against what a database holds."""
    assert set(CODEC.names()) == {
        *(
            StoredName("event", name, version)
            for name in ("account.paid", "account.payed")
            for version in (1, 2, 3)
        ),
        StoredName("command", "account.pay", 1),
        StoredName("command", "account.pay", 2),
        StoredName("state", "account", 1),
        StoredName("state", "account", 2),
    }


def test_snapshot_comes_back_as_it_was() -> None:
    """With the fields that are not in its constructor."""
    state = Account(5)
    state.seen = 7
    assert CODEC.decode_state(DEFINITION, 2, CODEC.encode_state(DEFINITION, state)) == state


def test_old_snapshot_is_upcast_only_if_it_fits_exactly() -> None:
    """A field that the upcaster forgot is not filled in with its default: that would be a wrong state."""
    with pytest.raises(rb.Undecodable, match="missing field 'seen'"):
        CODEC.decode_state(DEFINITION, 1, '{"shape":"old","state":{"sum":5}}')
    with pytest.raises(rb.UnknownName, match="this app reads state version 2; replay the events"):
        CODEC.decode_state(DEFINITION, 3, "{}")


def test_snapshot_of_another_shape_is_not_used() -> None:
    """A field was added and nobody raised the version: the snapshot costs a replay, not the truth."""

    @rb.actor("account", snapshot_every=1)
    @define
    class Before:
        total: int = 0

    @rb.actor("account", snapshot_every=1)
    @define
    class After:
        total: int = 0
        count: int = 0

    @rb.actor("account", snapshot_every=1)
    @define
    class Retyped:
        total: float = 0.0

    text = Codec().encode_state(definition_of(Before), Before(5))
    for changed in (After, Retyped):
        with pytest.raises(rb.Undecodable, match="the state's shape has changed"):
            Codec().decode_state(definition_of(changed), 1, text)


@pytest.mark.parametrize("payload", ["", "null", "[]", "{}", '{"state":{}}', '{"shape":1,"state":{},"x":1}'])
def test_rubbish_is_no_snapshot(payload: str) -> None:
    """Whatever a row holds, the answer is an error that leads to a replay."""
    with pytest.raises(rb.Undecodable):
        CODEC.decode_state(DEFINITION, 2, payload)


def _paid(**annotations: Any) -> type:
    cls = type("Anything", (), {"__annotations__": annotations})
    return rb.event("paid")(frozen(cls))


def test_change_without_a_new_version_is_found() -> None:
    """The two shapes are in the message; a renamed Python class is no change."""
    before = Codec(messages=[_paid(amount=int)]).fingerprints()
    assert find_drift(before, Codec(messages=[_paid(amount=int)]).fingerprints()) == []
    [drift] = find_drift(before, Codec(messages=[_paid(amount=float, note=str)]).fingerprints())
    assert drift.stored.digest != drift.current.digest
    assert str(drift) == (
        "event 'paid' version 1 changed without a new version: stored {amount: int}, now "
        "{amount: float, note: str}; field 'amount' was int and is float; field 'note' (str) is new; "
        "raise its version and write an upcaster"
    )


def test_change_with_a_new_version_is_no_drift() -> None:
    """That is how it is done."""

    @rb.event("paid", version=2, upcast={1: lambda old: old})
    @frozen
    class Paid2:
        amount: float

    before = Codec(messages=[_paid(amount=int)]).fingerprints()
    assert find_drift(before, Codec(messages=[Paid2]).fingerprints()) == []


def test_change_of_a_nested_class_is_found() -> None:
    """What an event holds is part of its shape, however deep; recursion is no obstacle."""

    @frozen
    class Old:
        value: int
        next: "Old | None" = None

    @frozen
    class New:
        value: int | None
        next: "New | None" = None

    Old.__annotations__["next"] = Old | None
    New.__annotations__["next"] = New | None
    before = Codec(messages=[_paid(node=Old)]).fingerprints()
    after = Codec(messages=[_paid(node=New)]).fingerprints()
    assert before[0].shape == "{node: {value: int, next?: ^1|None}}"
    assert len(find_drift(before, after)) == 1
