"""One class with a field of every kind that can be stored, and strategies for its values."""

import enum
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar
from uuid import UUID

from attrs import frozen
from hypothesis import strategies as st

import rolebook as rb

T = TypeVar("T")
Cents = NewType("Cents", int)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Odd(enum.Enum):
    A = (1, 2)
    B = None


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@frozen
class Point:
    x: int
    y: int = 0


@frozen
class Circle:
    centre: Point
    radius: float


@frozen
class Square:
    corner: Point


@frozen
class Box(Generic[T]):
    content: T


@frozen
class NumberBox(Box[int]):
    label: str = ""


@frozen
class Tree:
    name: str
    children: tuple["Tree", ...] = ()
    parent: "Tree | None" = None


@rb.event("zoo.shaped")
@frozen
class Shaped:
    shape: Circle | Square


@rb.event("zoo.filled")
@frozen
class Everything:
    whole: int
    ratio: float
    text: str
    flag: bool
    nothing: None
    raw: bytes
    moment: datetime
    day: date
    clock: time
    wait: timedelta
    ident: UUID
    price: Decimal
    colour: Colour
    level: Level
    odd: Odd
    rights: Rights
    word: Literal["a", 1, True] | None
    cents: Cents
    marked: Annotated[int, "mark"]
    items: list[int]
    pair: tuple[int, str]
    empty: tuple[()]
    many: tuple[Decimal, ...]
    names: frozenset[str]
    mutable: set[int]
    table: dict[str, list[int]]
    by_number: dict[int, str]
    by_colour: Mapping[Colour, int]
    by_level: dict[Level, int]
    by_day: dict[date, UUID]
    maybe: int | None
    perhaps: Optional[Point]  # noqa: UP045  # the old spelling works too
    either: int | str
    number: int | float
    tagged: Circle | Square | None
    times: datetime | date
    box: Box[Decimal]
    number_box: NumberBox
    tree: Tree
    event: Shaped
    anything: Any


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
integers = st.one_of(st.integers(), st.integers(-(2**200), 2**200))
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
zones = st.one_of(
    st.none(),
    st.just(UTC),
    st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds))),
)
# `fold` is not stored: Python itself does not count it when it compares.
moments = st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0))
points = st.builds(Point, integers, integers)
shapes = st.one_of(st.builds(Circle, points, floats), st.builds(Square, points))
trees = st.recursive(
    st.builds(Tree, texts),
    lambda inner: st.builds(Tree, texts, st.lists(inner, max_size=3).map(tuple), st.none() | inner),
    max_leaves=8,
)
anything = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)

everything = st.builds(
    Everything,
    whole=integers,
    ratio=floats,
    text=texts,
    flag=st.booleans(),
    nothing=st.none(),
    raw=st.binary(max_size=20),
    moment=moments,
    day=st.dates(),
    clock=st.times().map(lambda clock: clock.replace(fold=0)),
    wait=st.timedeltas(),
    ident=st.uuids(),
    price=decimals,
    colour=st.sampled_from(Colour),
    level=st.sampled_from(Level),
    odd=st.sampled_from(Odd),
    rights=st.sampled_from([Rights(0), Rights.READ, Rights.READ | Rights.WRITE]),
    word=st.sampled_from(["a", 1, True, None]),
    cents=integers,
    marked=integers,
    items=st.lists(integers, max_size=3),
    pair=st.tuples(integers, texts),
    empty=st.just(()),
    many=st.lists(decimals, max_size=3).map(tuple),
    names=st.frozensets(texts, max_size=3),
    mutable=st.sets(integers, max_size=3),
    table=st.dictionaries(texts, st.lists(integers, max_size=2), max_size=3),
    by_number=st.dictionaries(integers, texts, max_size=3),
    by_colour=st.dictionaries(st.sampled_from(Colour), integers),
    by_level=st.dictionaries(st.sampled_from(Level), integers),
    by_day=st.dictionaries(st.dates(), st.uuids(), max_size=3),
    maybe=st.none() | integers,
    perhaps=st.none() | points,
    either=integers | texts,
    number=integers | floats,
    tagged=st.none() | shapes,
    times=moments | st.dates(),
    box=st.builds(Box, decimals),
    number_box=st.builds(NumberBox, integers, texts),
    tree=trees,
    event=st.builds(Shaped, shapes),
    anything=anything,
)
