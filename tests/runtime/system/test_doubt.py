"""Who may have sent without waking this process, by itself; and against a model of senders."""

from hypothesis import given
from hypothesis import strategies as st

from rolebook.runtime.contract import Snapshot
from rolebook.runtime.system._doubt import SHORTEST, Doubt

NEVER = float("inf")


def test_nothing_is_in_doubt_at_first() -> None:
    """Whatever runs."""
    doubt = Doubt()
    assert not doubt.looked(Snapshot(5, 9, (5, 7)), 0.0)
    assert NEVER == doubt.next_look(0.0)


def test_who_runs_at_the_next_look_is_waited_for() -> None:
    """Those, and nobody who came later; a look says whether some of them have ended."""
    doubt = Doubt()
    doubt.begin()
    assert NEVER == doubt.next_look(0.0)
    assert not doubt.looked(Snapshot(5, 9, (5, 7)), 10.0)
    assert 10.0 + SHORTEST == doubt.next_look(10.0)
    assert not doubt.looked(Snapshot(5, 12, (5, 7, 10)), 11.0)
    assert doubt.looked(Snapshot(7, 15, (7, 10)), 12.0)
    assert 12.0 + 1.0 == doubt.next_look(12.0)
    assert doubt.looked(Snapshot(10, 15, (10,)), 13.0)
    assert NEVER == doubt.next_look(13.0)


def test_looks_become_rarer_the_longer_one_runs() -> None:
    """A transaction of an hour costs some dozens of looks."""
    doubt, now, looks = Doubt(), 0.0, 0
    doubt.begin()
    while now < 3600:
        doubt.looked(Snapshot(5, 9, (5,)), now)
        now = doubt.next_look(now)
        looks += 1
    assert looks < 50


def test_a_long_one_is_known_when_it_is_in_doubt_again() -> None:
    """Who falls asleep often does not begin anew with it; but with who came since."""
    doubt = Doubt()
    doubt.begin()
    doubt.looked(Snapshot(5, 9, (5,)), 0.0)
    doubt.begin()
    doubt.looked(Snapshot(5, 9, (5,)), 100.0)
    assert 150.0 == doubt.next_look(100.0)
    doubt.begin()
    doubt.looked(Snapshot(5, 11, (5, 9)), 100.0)
    assert 100.0 + SHORTEST == doubt.next_look(100.0)


@given(st.lists(st.sampled_from(["begin", "send", "commit", "sleep", "wake", "look"]), max_size=60), st.data())
def test_nothing_stays_unseen(steps: list[str], data: st.DataObject) -> None:
    """Senders that insert, see the mark, and commit in any order: what rang nobody is seen without a poll.

    At rest, with all of them ended, there is no message that was neither rung for nor looked for.
    """
    doubt, awake, next_tx = Doubt(), False, 1
    running: dict[int, bool | None] = {}  # whether it rings, once it has looked
    unseen = set[int]()
    looks_by_itself = rung = False

    def look() -> None:
        nonlocal looks_by_itself, rung
        seen = Snapshot(min(running, default=next_tx), next_tx, tuple(sorted(running)))
        doubt.looked(seen, 0.0)
        unseen.clear()  # what has committed is visible
        looks_by_itself = rung = False

    for step in [*steps, "sleep"]:
        waiting = sorted(running)
        match step:
            case "begin":
                running[next_tx], next_tx = None, next_tx + 1
            case "send" if waiting:
                running[data.draw(st.sampled_from(waiting))] = not awake
            case "commit" if waiting:
                rings = running.pop(data.draw(st.sampled_from(waiting)))
                if rings is not None:
                    unseen.add(0)
                    rung = rung or rings
            case "sleep" if awake:
                awake, looks_by_itself = False, True
                doubt.begin()
                look()
            case "wake":
                awake = True
            case "look":
                look()
            case _:
                pass
    while running:  # each of them ends; who is in doubt is looked for until then
        for tx in list(running):
            rings = running.pop(tx)
            if rings is not None:
                unseen.add(0)
                rung = rung or rings
            if rung or doubt.next_look(0.0) < NEVER:
                look()
    if rung:
        look()
    assert not unseen
