"""The state machine: its rules write a program, step by step, and its end runs it."""

from collections.abc import Callable
from typing import Any, ClassVar

import trio
from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from trio.testing import MockClock

from .cast import ATTEMPTS, KINDS, Address, Do, Relay, ledger, make_app
from .judging import judge
from .playing import KEYS, History, play
from .steps import Asked, Join, Leave, Queued, Rest, Restart, Settle, Setup, Step, Together, Told, Trouble
from .worlds import IN_MEMORY, Worlds

processes = st.sampled_from([0, 0, 0, 1, 1, 2])
kinds = st.sampled_from(KINDS)
keys = st.sampled_from(KEYS)
addresses = st.lists(st.builds(Address, kinds, keys, st.just(0)), max_size=2).map(tuple)
commands = st.builds(
    Do,
    st.just(0),
    events=st.integers(0, 3),
    failures=st.sampled_from([0, 0, 0, 0, 1, 2, ATTEMPTS]),
    spoil=st.booleans(),
    refuse=st.sampled_from([False, False, False, True]),
    stop=st.sampled_from([False, False, False, True]),
    tells=addresses,
    routed=addresses,
    relayed=st.lists(st.builds(Address, kinds, keys, st.just(0)), max_size=1).map(tuple),
)
setups = st.builds(
    Setup,
    processes=st.sampled_from([1, 1, 2, 2, 3]),
    snapshot_every=st.sampled_from([None, 1, 2, 5]),
    snapshot_keep=st.integers(1, 2),
    residents=st.sampled_from([1, 2, 10_000]),
    mailbox=st.sampled_from([2, 5, 2000]),
    blocked=st.sampled_from([1, 3, 50]),
    batch=st.sampled_from([1, 3, 1000]),
    muted=st.booleans(),
    stall=st.sampled_from([0.0, 0.0, 0.05]),
    slow=st.sampled_from([0.0, 0.0, 0.05]),
)
patience = st.sampled_from([None, None, None, 0.0, 0.02])
once = st.sampled_from([None, None, None, "x"])
tells = st.builds(
    Told,
    processes,
    kinds,
    keys,
    commands,
    delay=st.sampled_from([None, None, None, 0.0, 0.1]),
    priority=st.sampled_from([0, 0, 0, -1, 1]),
    within=patience,
    once=once,
)
asks = st.builds(Asked, processes, kinds, keys, commands, within=patience, wait=st.booleans(), once=once)
relays = st.builds(
    Queued,
    processes,
    keys,
    st.builds(
        Relay,
        st.builds(Address, kinds, keys, st.just(0)),
        failures=st.sampled_from([0, 0, 0, 1, 2, ATTEMPTS]),
        alone=st.booleans(),
    ),
)

Make = Callable[..., type[Any]]


class Simulation(RuleBasedStateMachine):
    """Writes a program, runs it, and judges what was seen.

    Attributes:
        worlds: Where it runs.
        make: What makes the actors; another one to plant a bug.
    """

    worlds: ClassVar[Worlds] = IN_MEMORY
    make: ClassVar[Make] = staticmethod(ledger)

    def __init__(self) -> None:
        super().__init__()
        self.setup = Setup()
        self.steps: list[Step] = []
        self.numbers = 0

    @initialize(setup=setups)
    def set_up(self, setup: Setup) -> None:
        self.setup = setup

    # ---- rules ----

    @rule(step=tells)
    def tell(self, step: Told) -> None:
        self.steps.append(evolve(step, command=self.numbered(step.command)))

    @rule(process=processes, told=st.lists(st.tuples(kinds, keys, commands), min_size=1, max_size=8))
    def tell_together(self, process: int, told: list[tuple[str, str, Do]]) -> None:
        self.steps.append(
            Together(process, tuple((kind, key, self.numbered(command)) for kind, key, command in told))
        )

    @rule(step=asks)
    def ask(self, step: Asked) -> None:
        self.steps.append(evolve(step, command=self.numbered(step.command)))

    @rule(step=relays)
    def queue(self, step: Queued) -> None:
        to = evolve(step.relay.to, number=self._next())
        self.steps.append(evolve(step, relay=evolve(step.relay, to=to)))

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.03]))
    def rest(self, seconds: float) -> None:
        self.steps.append(Rest(seconds))

    @rule(process=processes)
    def settle(self, process: int) -> None:
        self.steps.append(Settle(process))

    @rule(process=processes, what=st.sampled_from(["join", "leave", "cut off"]))
    def come_or_go(self, process: int, what: str) -> None:
        self.steps.append(Join() if what == "join" else Leave(process, what == "cut off"))

    @rule(process=processes, cut_off=st.booleans())
    def restart(self, process: int, *, cut_off: bool) -> None:
        self.steps.append(Restart(process, cut_off))

    @rule(
        step=asks,
        told=st.lists(commands, min_size=1, max_size=4),
        back=st.sampled_from(["restart", "cut off", "fetcher", "writer"]),
    )
    def come_back(self, step: Asked, told: list[Do], back: str) -> None:
        """Tell an actor, go, come back and ask it: what chance seldom does in a row."""
        together = tuple((step.kind, step.key, self.numbered(command)) for command in told)
        self.steps.append(Together(step.process, together))
        if back in ("fetcher", "writer"):
            self.steps.append(Trouble(step.process, back))
        else:
            self.steps.append(Restart(step.process, back == "cut off"))
        self.ask(step)

    @rule(process=processes, what=st.sampled_from(["fetcher", "writer", "listener", "commit"]))
    def trouble(self, process: int, what: str) -> None:
        self.steps.append(Trouble(process, what))

    def numbered(self, command: Do) -> Do:
        """Give a command and those it sends numbers that no other has."""
        return evolve(
            command,
            number=self._next(),
            tells=tuple(evolve(each, number=self._next()) for each in command.tells),
            routed=tuple(evolve(each, number=self._next()) for each in command.routed),
            relayed=tuple(evolve(each, number=self._next()) for each in command.relayed),
        )

    def _next(self) -> int:
        self.numbers += 1
        return self.numbers

    # ---- the end ----

    def teardown(self) -> None:
        history = run(self.worlds, self.setup, self.steps, type(self).make)
        if wrong := judge(history):
            raise AssertionError("\n".join(wrong))


def simulation(worlds: Worlds, make: Make = ledger) -> type[Simulation]:
    """Return a state machine for these worlds, with actors of this make."""
    return type("Simulation", (Simulation,), {"worlds": worlds, "make": staticmethod(make)})


def run(worlds: Worlds, setup: Setup, steps: list[Step], make: Make) -> History:
    """Run a program in a world of its own."""
    app = make_app(make, snapshot_every=setup.snapshot_every, snapshot_keep=setup.snapshot_keep)

    async def main() -> History:
        async with worlds.open(setup) as world:
            return await play(app, setup, world, steps)

    return trio.run(main, clock=MockClock(autojump_threshold=0) if worlds.virtual else None)
