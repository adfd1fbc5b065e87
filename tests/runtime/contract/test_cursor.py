"""The cursor, against a model of transactions: no database, every interleaving Hypothesis thinks of."""

from __future__ import annotations

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from rolebook.runtime.contract import NOTHING_SEEN, Cursor, Lane, Snapshot, merge

LANE = Lane("mail", 0, range(2))


@define(eq=False)
class Database:
    """Rows as (tx, id); a transaction's rows are visible once it has committed."""

    next_tx: int = 1
    next_id: int = 1
    running: dict[int, list[tuple[int, int]]] = field(factory=dict[int, list[tuple[int, int]]])
    rows: list[tuple[int, int]] = field(factory=list[tuple[int, int]])

    def begin(self) -> None:
        self.running[self.next_tx] = []
        self.next_tx += 1

    def write(self, which: int) -> None:
        if self.running:
            tx = sorted(self.running)[which % len(self.running)]
            self.running[tx].append((tx, self.next_id))
            self.next_id += 1

    def end(self, which: int, *, commit: bool) -> None:
        if self.running:
            tx = sorted(self.running)[which % len(self.running)]
            rows = self.running.pop(tx)
            if commit:
                self.rows += rows

    def snapshot(self) -> Snapshot:
        return Snapshot(min(self.running, default=self.next_tx), self.next_tx, tuple(sorted(self.running)))

    def read(self, cursor: Cursor, room: int) -> list[tuple[int, int]]:
        """What the statement of a store reads."""
        unread = [
            row
            for row in sorted(self.rows)
            if not cursor.after.sees(row[0])
            and row > cursor.position
            and (cursor.within is None or cursor.within.sees(row[0]))
        ]
        return unread[:room]


@define(eq=False)
class Looker:
    """A reader with one cursor."""

    database: Database
    cursor: Cursor = field(factory=lambda: Cursor(LANE))
    seen: list[tuple[int, int]] = field(factory=list[tuple[int, int]])

    def look(self, room: int) -> None:
        rows = self.database.read(self.cursor, room)
        last = rows[-1] if rows else None
        self.cursor = self.cursor.advance(self.database.snapshot(), last, full=len(rows) >= room)
        self.seen += rows


step = st.one_of(
    st.tuples(st.just("begin")),
    st.tuples(st.just("write"), st.integers(0, 9)),
    st.tuples(st.just("commit"), st.integers(0, 9)),
    st.tuples(st.just("abort"), st.integers(0, 9)),
    st.tuples(st.just("look"), st.integers(1, 4)),
)


def play(database: Database, looker: Looker, steps: list[tuple[object, ...]]) -> None:
    """Do what Hypothesis wants."""
    for name, *arguments in steps:
        number = arguments[0] if arguments else 0
        assert isinstance(number, int)
        if name == "begin":
            database.begin()
        elif name == "write":
            database.write(number)
        elif name == "look":
            looker.look(number)
        else:
            database.end(number, commit=name == "commit")


@given(st.lists(step, max_size=60), st.integers(1, 5))
def test_every_committed_row_is_read_exactly_once(steps: list[tuple[object, ...]], room: int) -> None:
    """However transactions overlap and looks fall between them, each committed row is read once."""
    database = Database()
    looker = Looker(database)
    play(database, looker, steps)
    looker.look(room)
    while not looker.cursor.caught_up:
        looker.look(room)
    assert sorted(database.rows) == sorted(looker.seen)


@given(st.lists(step, max_size=60))
def test_caught_up_means_that_nothing_visible_is_unread(steps: list[tuple[object, ...]]) -> None:
    """Right after a look, a cursor that says it is caught up has read every visible row."""
    database = Database()
    looker = Looker(database)
    for each in steps:
        play(database, looker, [each])
        if each[0] == "look" and looker.cursor.caught_up:
            assert sorted(database.rows) == sorted(looker.seen)


@given(st.lists(step, max_size=40), st.integers(1, 3))
def test_a_window_is_read_in_order(steps: list[tuple[object, ...]], room: int) -> None:
    """Within one window rows come in (tx, id) order, page after page."""
    database = Database()
    play(database, Looker(database), steps)
    looker = Looker(database)
    looker.look(room)
    while not looker.cursor.caught_up:
        looker.look(room)
    assert sorted(database.rows) == looker.seen


@given(st.lists(step, max_size=60))
def test_what_was_visible_at_a_look_has_been_read_when_the_cursor_says_so(
    steps: list[tuple[object, ...]],
) -> None:
    """It says so of nothing that is unread, and of everything that is read once a look has caught up."""
    database = Database()
    looker = Looker(database)
    moments = list[tuple[Snapshot, list[tuple[int, int]]]]()
    for each in steps:
        moments.append((database.snapshot(), list(database.rows)))
        play(database, looker, [each])
        for snapshot, visible in moments:
            if looker.cursor.has_read(snapshot):
                assert set(visible) <= set(looker.seen)
            else:
                assert each[0] != "look" or not looker.cursor.caught_up


def test_a_window_need_not_be_read_to_its_end() -> None:
    """What began after a look is not waited for, though it is in the window that is open."""
    cursor = Cursor(LANE, Snapshot(5, 5)).advance(Snapshot(9, 12, (9,)), (6, 1), full=True)
    assert [True, True, False] == [cursor.has_read(Snapshot(xmax, xmax)) for xmax in (5, 6, 7)]
    assert cursor.advance(Snapshot(20, 20), (8, 1), full=True).has_read(Snapshot(8, 8))
    later = cursor.advance(Snapshot(20, 20), (11, 1), full=True)
    assert not later.has_read(Snapshot(10, 10))  # it saw 9, which was running when the window was opened


def test_what_is_committed_while_a_window_is_read_needs_another_look() -> None:
    """The look that closes a window does not claim to have seen what came after it was opened."""
    cursor = Cursor(LANE).advance(Snapshot(10, 10), (3, 1), full=True)
    closed = cursor.advance(Snapshot(12, 12), (4, 2), full=False)
    assert (Snapshot(10, 10), None, False) == (closed.after, closed.within, closed.caught_up)
    assert closed.advance(Snapshot(12, 12), None, full=False).caught_up


def test_a_new_cursor_has_not_caught_up() -> None:
    """Before its first look a cursor has read nothing."""
    assert not Cursor(LANE).caught_up
    assert not NOTHING_SEEN.sees(1)


@given(st.integers(1, 2**63), st.sets(st.integers(0, 2**63)))
def test_a_snapshot_reads_back_as_postgresql_writes_it(xmax: int, running: set[int]) -> None:
    """Text and back."""
    snapshot = Snapshot(min(running, default=xmax), xmax, tuple(sorted(running)))
    assert snapshot == Snapshot.parse(str(snapshot))


def test_a_snapshot_sees_what_had_finished() -> None:
    """Below xmin all, at xmax and above nothing, in between all but the running ones."""
    snapshot = Snapshot.parse("3:7:3,5")
    assert [tx for tx in range(1, 10) if snapshot.sees(tx)] == [1, 2, 4, 6]


def at(xmax: int, *partitions: int, queue: str = "mail", priority: int = 0, key: str | None = None) -> Cursor:
    """A cursor that has caught up at a snapshot."""
    return Cursor(
        Lane(queue, priority, range(min(partitions), max(partitions) + 1), key),
        Snapshot(xmax, xmax),
        caught_up=True,
    )


def test_cursors_at_one_place_become_one() -> None:
    """Same queue, same priority, same snapshot: one cursor for the partitions of both."""
    assert [at(5, 0, 1, 2)] == merge([at(5, 0), at(5, 1), at(5, 2)])


def test_cursors_at_different_places_stay_apart() -> None:
    """Another snapshot, queue, priority or key keeps a cursor its own; so does an open window."""
    cursors = [at(5, 0), at(6, 1), at(5, 2, queue="other"), at(5, 3, priority=1), at(5, 0, key="k")]
    cursors.append(Cursor(LANE, Snapshot(5, 5), within=Snapshot(9, 9)))
    assert sorted(map(repr, cursors)) == sorted(map(repr, merge(cursors)))


def test_a_cursor_that_must_look_again_is_not_merged() -> None:
    """It stands at an older place than it could."""
    behind = Cursor(Lane("mail", 0, range(1, 2)), Snapshot(5, 5))
    assert {at(5, 0), behind} == set(merge([at(5, 0), behind]))
