"""When a process is awake: it tries, pays for its looks with what they find, and gives up in time."""

from attrs import define, field

from rolebook.runtime.system._drowsing import COST, FULL, IN_A_ROW, MOST_IN_A_ROW, NEAR, PAUSE, Drowsing


@define(eq=False)
class Play:
    """Looks of a millisecond each, with a rest before each."""

    drowsing: Drowsing = field(factory=Drowsing)
    now: float = 0.0

    def look(self, found: int, *, rung: bool = True, rest: float = 0.0) -> None:
        began = self.now + rest
        self.now = began + 0.001
        self.drowsing.looked(began, self.now, found, rung=rung)

    def wake(self) -> int:
        """Ring until it wants to be awake, and let it; returns how many looks that took."""
        looks = 0
        while not self.drowsing.wants_to_wake:
            self.look(1)
            looks += 1
        self.drowsing.woke()
        return looks

    def try_in_vain(self) -> int:
        """Find nothing until it wants to sleep, and let it; returns how many looks that took."""
        looks = 0
        while not self.drowsing.wants_to_sleep:
            self.look(0, rung=False)
            looks += 1
        self.drowsing.fell_asleep()
        return looks


def test_lonely_messages_change_nothing() -> None:
    """However many they are: between each two there is a rest."""
    play = Play()
    for _ in range(100):
        play.look(1, rest=NEAR * 1.01)
    assert not play.drowsing.wants_to_wake
    assert float("inf") == play.drowsing.next_look()


def test_rings_in_a_row_wake() -> None:
    """What nobody rang for does not count, nor a ring for what was found before; neither ends the row."""
    play = Play()
    for _ in range(IN_A_ROW - 1):
        play.look(1)
        play.look(5, rung=False)
        play.look(0)
    assert not play.drowsing.wants_to_wake
    assert 1 == play.wake()
    assert (True, False) == (play.drowsing.is_awake, play.drowsing.wants_to_wake)


def test_one_that_could_not_say_it_says_it_later() -> None:
    """It wants to, until it has."""
    play = Play()
    play.wake()
    play.try_in_vain()
    for _ in range(2 * IN_A_ROW + 3):
        play.look(1)
    assert play.drowsing.wants_to_wake


def test_who_is_awake_looks_by_itself() -> None:
    """Counted from the beginning of the last look; and no more once it is asleep."""
    play = Play()
    play.wake()
    began = play.now
    play.look(1, rung=False)
    assert began + PAUSE == play.drowsing.next_look()
    play.try_in_vain()
    assert float("inf") == play.drowsing.next_look()


def test_it_stays_awake_while_that_pays() -> None:
    """Each look costs so many messages; what was found before pays for a few in vain."""
    play = Play()
    play.wake()
    for _ in range(1000):
        play.look(2 * COST, rung=False)
        play.look(0, rung=False)
        assert not play.drowsing.wants_to_sleep
    play.look(10_000, rung=False)
    assert FULL // COST == play.try_in_vain()


def test_a_look_that_finds_less_than_it_costs_does_not_pay() -> None:
    """One sender alone, who waits for an answer each time, keeps nobody awake."""
    play = Play()
    play.wake()
    looks = 0
    while not play.drowsing.wants_to_sleep:
        play.look(1, rung=False)
        looks += 1
    assert FULL // 2 == looks


def test_tries_that_do_not_pay_become_rare() -> None:
    """Each doubles what the next one takes, up to a bound; one that pays ends that."""
    play = Play()
    taken: list[int] = []
    for _ in range(7):
        taken.append(play.wake())
        assert FULL // 2 // COST == play.try_in_vain()
    assert taken == [8, 16, 32, 64, 128, 128, 128]
    assert MOST_IN_A_ROW == play.wake()
    play.look(FULL, rung=False)
    play.try_in_vain()
    assert IN_A_ROW == play.wake()
