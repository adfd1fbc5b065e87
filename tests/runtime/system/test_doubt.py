"""Who may have sent without waking this process, by itself; and against a model of senders."""

from collections.abc import Callable

import pytest
from attrs import define, field
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


@define(eq=False)
class Game:
    """Senders that begin, look whether a process is awake, and commit; it sleeps, wakes, and looks."""

    doubt: Doubt = field(factory=Doubt)
    is_awake: bool = False
    next_tx: int = 1
    running: dict[int, bool | None] = field(factory=dict[int, bool | None])  # whether it rings, once it knows
    is_unseen: bool = False
    is_rung: bool = False

    def begin(self, _: int) -> None:
        self.running[self.next_tx] = None
        self.next_tx += 1

    def ask(self, which: int) -> None:
        if self.running:
            self.running[self._which(which)] = not self.is_awake

    def commit(self, which: int) -> None:
        if self.running:
            rings = self.running.pop(self._which(which))
            self.is_unseen = self.is_unseen or rings is not None
            self.is_rung = self.is_rung or bool(rings)

    def sleep(self, _: int = 0) -> None:
        if self.is_awake:
            self.is_awake = False
            self.doubt.begin()
            self.look()

    def wake(self, _: int) -> None:
        self.is_awake = True

    def look(self, _: int = 0) -> None:
        running = tuple(sorted(self.running))
        self.doubt.looked(Snapshot(min(running, default=self.next_tx), self.next_tx, running), 0.0)
        self.is_unseen = self.is_rung = False

    def rest(self) -> None:
        """All end, one after the other; it looks only if it is rung, or in doubt."""
        self.sleep()
        while True:
            if self.is_rung or self.doubt.next_look(0.0) < NEVER:
                self.look()
            if not self.running:
                return
            self.commit(0)

    def _which(self, number: int) -> int:
        return sorted(self.running)[number % len(self.running)]


MOVES = [Game.begin, Game.ask, Game.commit, Game.sleep, Game.wake, Game.look]


@given(st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 5)), max_size=60))
def test_nothing_stays_unseen(moves: list[tuple[Callable[[Game, int], None], int]]) -> None:
    """In whatever order they do it: at rest there is no message that was neither rung nor looked for."""
    game = Game()
    for move, which in moves:
        move(game, which)
    game.rest()
    assert not game.is_unseen


@pytest.mark.parametrize("begins", [True, False])
def test_nothing_stays_unseen_control(*, begins: bool) -> None:
    """A sender that asked before and commits after is not seen, if nobody doubts."""
    game = Game()
    for move in (Game.wake, Game.begin, Game.ask):
        move(game, 0)
    game.is_awake = False
    if begins:
        game.doubt.begin()
    game.look()
    game.rest()
    assert game.is_unseen is not begins
