"""What is said to be delivered to a partition, has been; and it is said as soon as it is so."""

from hypothesis import given
from hypothesis import strategies as st

from rolebook.runtime.contract import Cursor, Lane, Snapshot
from rolebook.runtime.system._coverage import Coverage


def lane(*partitions: int, priority: int = 0, key: str | None = None) -> Lane:
    return Lane("mail", priority, range(min(partitions), max(partitions) + 1), key)


def read_to(xmax: int, *partitions: int, priority: int = 0) -> Cursor:
    return Cursor(lane(*partitions, priority=priority), Snapshot(xmax, xmax))


def test_nothing_is_said_of_what_was_not_read_through() -> None:
    """A partition is first said when what was visible at the look after its beginning has been read."""
    coverage = Coverage()
    coverage.began([0, 1])
    coverage.looked(0, Snapshot(9, 9))
    assert {} == coverage.reached([read_to(8, 0, 1)])
    assert {0: 0, 1: 0} == coverage.reached([read_to(9, 0, 1)])
    assert {} == coverage.reached([read_to(30, 0, 1)])


def test_what_was_sent_is_said_once_and_only_when_it_is_newer() -> None:
    """A look that can have seen nothing new is not said."""
    coverage = Coverage()
    coverage.looked(3, Snapshot(9, 9))
    coverage.looked(3, Snapshot(12, 12))
    coverage.looked(4, Snapshot(20, 20))
    assert {0: 3} == coverage.reached([read_to(12, 0)])
    assert {0: 4} == coverage.reached([read_to(20, 0)])


def test_a_partition_is_as_far_as_its_slowest_lane() -> None:
    """Whatever is as urgent as an ask counts; what is less so does not, nor a key that is read again."""
    coverage = Coverage()
    coverage.looked(1, Snapshot(5, 5))
    coverage.looked(2, Snapshot(9, 9))
    others = [Cursor(lane(0, key="k")), read_to(4, 0, priority=-1)]
    assert {0: 1} == coverage.reached([read_to(9, 0), read_to(5, 0, priority=1), *others])
    assert {0: 2} == coverage.reached([read_to(9, 0), read_to(9, 0, priority=1), *others])


def test_a_partition_taken_later_does_not_hold_up_the_others() -> None:
    """Each goes on by itself, and the new one is said when it has been read through."""
    coverage = Coverage()
    coverage.looked(1, Snapshot(5, 5))
    assert {0: 1} == coverage.reached([read_to(5, 0)])
    coverage.began([0, 1])
    coverage.looked(1, Snapshot(7, 7))
    coverage.looked(2, Snapshot(9, 9))
    assert {0: 2} == coverage.reached([read_to(9, 0), Cursor(lane(1))])
    assert {1: 1} == coverage.reached([read_to(9, 0), read_to(8, 1)])
    assert {1: 2} == coverage.reached([read_to(9, 0, 1)])


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(1, 9)), max_size=40))
def test_it_never_says_too_much(steps: list[tuple[int, int, int]]) -> None:
    """Whichever cursor goes on when: what is said of a partition was visible in what both lanes have read."""
    coverage = Coverage()
    cursors = [read_to(0, 0), read_to(0, 0, 1, priority=1)]
    clock, number, looks, told = 1, 0, [(0, 0)], {0: -1, 1: -1}
    for sent, which, further in steps:
        number += sent
        clock += further
        looks.append((number, clock))
        coverage.looked(number, Snapshot(clock, clock))
        if which < 2:
            reached = min(clock, cursors[which].after.xmax + further)
            cursors[which] = read_to(reached, *cursors[which].lane.partitions, priority=which)
        for partition, said in coverage.reached(cursors).items():
            assert said > told[partition]
            told[partition] = said
        for partition, said in told.items():
            read = min(cursor.after.xmax for cursor in cursors if partition in cursor.lane.partitions)
            seen = [sent for sent, xmax in looks[1:] if xmax <= read]
            assert said == max(seen, default=-1)
