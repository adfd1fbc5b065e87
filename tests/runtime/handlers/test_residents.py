"""The actors in memory: found, woken, resumed and forgotten."""

import trio
from trio.testing import MockClock

from rolebook.runtime.contract import Fence, Message, partition_of_key
from rolebook.runtime.handlers import KeyLines, Resident, Residents, Step

LINES = KeyLines(blocked_capacity=10, mailbox_capacity=10, mailbox_bytes=10_000)


def hold(residents: Residents, key: str, wait: float) -> Resident:
    """An actor whose first message waits."""
    resident = residents.need(key)
    resident.line.step(Step.BEGIN)
    message = Message(1, 1, "q", 0, 0, key, "t", 1, "{}", None, 0, wait, 0.0, Fence("q", 0, 1, 1))
    assert LINES.hold(resident.line, message)
    residents.block(resident, wait)
    return resident


async def test_an_actor_is_made_once(autojump_clock: MockClock) -> None:
    """The same key gives the same actor, in the partition of its key; found in memory counts as a hit."""
    residents = Residents(partitions=8)
    one = residents.need("a")
    assert residents.need("a") is one is residents.find("a")
    assert one.partition == partition_of_key("a", 8)
    assert residents.hits == 0  # it was cold both times
    one.load("state", 1, 0)
    residents.need("a")
    assert residents.hits == 1
    assert residents.find("b") is None


async def test_the_blocked_are_due_in_their_order(autojump_clock: MockClock) -> None:
    """Each once, when its time has come; what was released before is not due any more."""
    residents = Residents(partitions=8)
    late, soon, gone = (hold(residents, key, wait) for key, wait in (("a", 3.0), ("b", 1.0), ("c", 2.0)))
    assert list(residents.due()) == []
    assert residents.next_due == trio.current_time() + 1
    LINES.release(gone.line)
    await trio.sleep(2.5)
    assert list(residents.due()) == [soon]
    LINES.release(soon.line)
    await trio.sleep(1)
    assert list(residents.due()) == [late]
    assert residents.next_due == float("inf")


async def test_one_that_is_held_anew_is_due_at_its_new_time(autojump_clock: MockClock) -> None:
    """The timer of the last time does not wake it."""
    residents = Residents(partitions=8)
    resident = hold(residents, "a", 1.0)
    LINES.release(resident.line)
    resident.line.waiting.clear()
    assert hold(residents, "a", 5.0) is resident
    await trio.sleep(2)
    assert list(residents.due()) == []
    await trio.sleep(4)
    assert list(residents.due()) == [resident]


async def test_the_halted_are_told_apart(autojump_clock: MockClock) -> None:
    """Blocked waits for its time, parked until it is resumed, broken for a journal that can be replayed."""
    residents = Residents(partitions=8)
    blocked, parked = hold(residents, "a", 1.0), hold(residents, "b", float("inf"))
    broken = residents.need("c")
    broken.break_down(ValueError("a hole"))
    residents.stopped.add("c")
    residents.need("d")
    assert {each.key for each in residents.halted()} == {"a", "b", "c"}
    assert (blocked.is_blocked, blocked.is_parked, blocked.is_broken) == (True, False, False)
    assert (parked.is_blocked, parked.is_parked, parked.is_broken) == (False, True, False)
    assert (broken.is_blocked, broken.is_parked, broken.is_broken) == (False, False, True)


async def test_what_is_no_longer_stored_as_stopped_is_resumed(autojump_clock: MockClock) -> None:
    """Not what still is, and not while its mark may be on its way to where it is stored."""
    residents = Residents(partitions=8)
    parked, _ = hold(residents, "a", float("inf")), hold(residents, "b", float("inf"))
    on_its_way = hold(residents, "c", float("inf"))
    LINES.noted(on_its_way.line)
    assert residents.resumable(["b"]) == [parked]
    LINES.settled(on_its_way.line)
    assert {each.key for each in residents.resumable([])} == {"a", "b", "c"}
    LINES.release(parked.line)
    assert {each.key for each in residents.resumable([])} == {"b", "c"}


async def test_the_least_recently_used_leave(autojump_clock: MockClock) -> None:
    """Those beyond the number, and those unused for too long; never one that has something to do."""
    residents = Residents(partitions=8)
    busy = hold(residents, "busy", 60.0)
    for key in "abcd":
        residents.need(key)
        await trio.sleep(1)
    residents.need("a")
    residents.passivate(most=4, idle=100.0)
    assert [each.key for each in residents] == ["busy", "c", "d", "a"]
    await trio.sleep(5)
    residents.need("d")
    residents.passivate(most=100, idle=5.0)
    assert [each.key for each in residents] == ["busy", "d"]
    assert (residents.evictions, residents.find("busy")) == (3, busy)
