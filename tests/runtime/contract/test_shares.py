"""Shares: everything is owned in the end, nobody has more than their share, and little moves."""

import itertools
from collections.abc import Sequence

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from rolebook.runtime.contract import Member, runs, share, to_give, to_take

QUEUES = ("mail", "bills", "calls")
partitions = st.sets(st.integers(0, 63))


def members(count: int, queue: str = "mail") -> list[Member]:
    return [Member(life, f"p{life}", frozenset({queue})) for life in range(count)]


@given(st.integers(1, 1024), st.integers(1, 40))
def test_shares_add_up_and_differ_by_one_at_most(count: int, processes: int) -> None:
    """Of P partitions and n members each has P // n, and the oldest P % n have one more."""
    there = members(processes)
    each = [share(count, there, "mail", member.life) for member in there]
    assert sum(each) == count
    assert each == sorted(each, reverse=True)
    assert max(each) - min(each) <= 1


@given(st.integers(1, 1024), st.integers(1, 40), st.data())
def test_nobody_gains_when_one_joins_or_loses_when_one_leaves(
    count: int, processes: int, data: st.DataObject
) -> None:
    """So whatever moves, moves to who joined, or from who left."""
    there = members(processes + 1)
    gone = data.draw(st.sampled_from(there))
    fewer = [member for member in there if member is not gone]
    for member in fewer:
        assert share(count, fewer, "mail", member.life) >= share(count, there, "mail", member.life)


def test_who_does_not_serve_a_queue_has_no_share() -> None:
    """It counts for nobody, though it is a member."""
    there = [*members(2), *members(1, "bills")]
    assert share(10, there, "mail", 0) == share(10, there, "mail", 1) == 5
    assert share(10, members(2), "bills", 0) == 0


@given(partitions, st.integers(0, 64))
def test_what_is_given_is_as_much_as_there_is_too_much(held: set[int], wanted: int) -> None:
    """No more, no less, and it leaves no more runs than there were."""
    given_back = to_give(held, wanted)
    assert given_back <= held
    assert len(held) - len(given_back) == min(wanted, len(held))
    assert len(runs(held - given_back)) <= len(runs(held))


@given(partitions, partitions, st.integers(0, 64))
def test_what_is_taken_is_as_much_as_is_missing(free: set[int], held: set[int], wanted: int) -> None:
    """As far as there is something free; next to what is held, if there is such."""
    free -= held
    taken = to_take(free, held, wanted)
    assert set(taken) <= free
    assert len(set(taken)) == len(taken) == min(max(0, wanted - len(held)), len(free))


@given(partitions)
def test_runs_cover_and_do_not_touch(held: set[int]) -> None:
    """Each partition is in one run, and between two there is a gap."""
    found = runs(held)
    assert sorted(held) == [partition for run in found for partition in run]
    assert all(later.start > earlier.stop for earlier, later in itertools.pairwise(found))


def test_one_that_joins_gets_a_run_from_each() -> None:
    """A process that owned everything keeps one run."""
    assert to_give(range(32), 16) == set(range(16, 32))
    assert to_give({*range(8), 20}, 8) == {20}
    assert to_take([9, 10, 30, 31], [8], 3) == [9, 10]
    assert to_take([4, 5, 6, 7], [8], 3) == [6, 7]
    assert to_take([0, 10, 11, 12], [], 2) == [10, 11]


@define(eq=False)
class Process:
    """A member, with what it saw last and what it owns of each queue."""

    life: int
    queues: frozenset[str]
    seen: Sequence[Member] = ()
    owned: dict[str, set[int]] = field(factory=lambda: {queue: set() for queue in QUEUES})


class Moving(RuleBasedStateMachine):
    """Processes come, go, change what they serve, and act on what they saw, however old that is."""

    processes: Bundle[Process] = Bundle("processes")

    def __init__(self) -> None:
        super().__init__()
        self.count = 8
        self.there: list[Process] = []
        self.lives = 0

    @rule(target=processes, queues=st.sets(st.sampled_from(QUEUES), min_size=1))
    def join(self, queues: set[str]) -> Process:
        self.lives += 1
        process = Process(self.lives, frozenset(queues))
        self.there.append(process)
        return process

    @rule(process=consumes(processes))
    def leave(self, process: Process) -> None:
        self.there.remove(process)

    @rule(process=processes, queues=st.sets(st.sampled_from(QUEUES)))
    def serve(self, process: Process, queues: set[str]) -> None:
        process.queues = frozenset(queues)
        for queue in QUEUES:
            if queue not in queues:  # who declines withdraws first, and then gives back
                process.owned[queue].clear()

    @rule(process=processes)
    def look(self, process: Process) -> None:
        process.seen = self.members()

    @rule(process=processes)
    def act(self, process: Process) -> None:
        if any(member.life == process.life for member in process.seen):
            self.settle(process)

    def members(self) -> list[Member]:
        return [Member(process.life, "", process.queues) for process in self.there]

    def settle(self, process: Process) -> int:
        moved = 0
        for queue in process.queues:
            owned = process.owned[queue]
            wanted = share(self.count, process.seen, queue, process.life)
            given_back = to_give(owned, wanted)
            owned -= given_back
            taken = to_take(self.free(queue), owned, wanted)
            owned |= set(taken)
            moved += len(given_back) + len(taken)
        return moved

    def free(self, queue: str) -> set[int]:
        return set(range(self.count)).difference(*(process.owned[queue] for process in self.there))

    @invariant()
    def nothing_has_two_owners(self) -> None:
        for queue in QUEUES:
            owned = [partition for process in self.there for partition in process.owned[queue]]
            assert len(owned) == len(set(owned))

    def teardown(self) -> None:
        """Once everybody has seen the same, it takes two rounds; then nothing moves any more."""
        for _ in range(2):
            for process in self.there:
                process.seen = self.members()
                self.settle(process)
        for process in self.there:
            assert self.settle(process) == 0
        for queue in QUEUES:
            if any(queue in process.queues for process in self.there):
                assert self.free(queue) == set()


TestMoving = Moving.TestCase
TestMoving.settings = settings(deadline=None, stateful_step_count=40)


def test_eight_that_come_back_one_by_one_do_not_shuffle_everything() -> None:
    """A rolling restart moves what it has to: what the one that leaves had, and its share when it is back."""
    machine, count, processes = Moving(), 32, 8
    machine.count = count

    def settle_all() -> int:
        moved = 0
        for _ in range(3):
            for process in machine.there:
                process.seen = machine.members()
                moved += machine.settle(process)
        return moved

    for _ in range(processes):
        machine.join({"mail"})
    settle_all()
    moved = 0
    for process in list(machine.there):
        machine.there.remove(process)
        moved += settle_all()
        machine.join({"mail"})
        moved += settle_all()
    # Each restart frees four, which others take; then four are given back, and taken by the one that is new.
    assert moved == processes * (count // processes) * 3
