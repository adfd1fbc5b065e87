"""Whose turn it is: where one read has not room for all, no lane keeps another one from being read."""

from __future__ import annotations

from rolebook.runtime.contract import Cursor, Fetched, FetchedRow, Lane, Snapshot
from rolebook.runtime.system._turns import Turns

LANES = [Lane(queue, 0, range(4)) for queue in "abc"]
ROW = FetchedRow(1, 1, 0, None, "t", 1, "{}", None, 0, None, 0.0)


def read(turns: Turns, sizes: dict[str, int], most: int) -> list[str]:
    """One read of lanes that have messages of some size, without end; the queues that got some."""
    plan = turns.order([(Cursor(lane), 100) for lane in LANES])
    rows: list[list[FetchedRow]] = [[] for _ in plan]
    left, cut = most, len(plan)
    for place, (cursor, _) in enumerate(plan):
        while size := sizes[cursor.lane.queue]:
            if size > left and any(rows):
                cut = min(cut, place)
                break
            left -= size
            rows[place].append(ROW)
        if cut < len(plan):
            break
    turns.took(plan, Fetched(Snapshot(1, 1), 0.0, rows, range(cut, len(plan))))
    return [cursor.lane.queue for (cursor, _), its in zip(plan, rows, strict=True) if its]


def test_a_lane_without_end_keeps_no_other_waiting() -> None:
    """Each gets something within as many reads as there are lanes, whatever the sizes."""
    for sizes in ({"a": 1, "b": 1, "c": 1}, {"a": 50, "b": 1, "c": 7}, {"a": 0, "b": 99, "c": 3}):
        turns, wanted = Turns(), {queue for queue, size in sizes.items() if size}
        for _ in range(5):
            found = {queue for _ in LANES for queue in read(turns, sizes, 10)}
            assert wanted == found


def test_with_room_for_all_the_order_stays() -> None:
    """The most urgent first."""
    turns = Turns()
    turns.took([(Cursor(lane), 1) for lane in LANES], Fetched(Snapshot(1, 1), 0.0, [[], [], []]))
    assert LANES == [cursor.lane for cursor, _ in turns.order([(Cursor(lane), 1) for lane in LANES])]
