"""Random trees, random lives of their children, random commands: what both the model and the supervisor run.

All times are multiples of a power of two, so that sums are exact and two runs can be compared with `==`.
The grid is fine enough that two unrelated things never happen at once.
"""

import math
from random import Random
from typing import Literal

import attrs

from rolebook.actors import Backoff

LONG_AFTER = 10_000.0

Outcome = Literal["run", "crash", "return", "fail_to_start"]
Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Operation = Literal["restart", "stop", "start", "resume", "add", "remove"]


class GridRandom(Random):
    """Draws on the grid."""

    grid = 2**36

    def uniform(self, a: float, b: float) -> float:
        return math.ceil((a + (b - a) * self.random()) * self.grid) / self.grid


class CrowdedRandom(GridRandom):
    """Draws whole seconds, so that much happens at the same instant."""

    grid = 1


@attrs.frozen
class Life:
    """What one incarnation does if it is left alone.

    Args:
        start: Seconds until it reports that it is ready.
        outcome: How it ends.
        after: Seconds from ready to its end.
        polite: Seconds it goes on after it was asked to stop.
        cleanup: Seconds its clean-up takes once it was cancelled.
    """

    start: float = 0.0
    outcome: Outcome = "run"
    after: float = math.inf
    polite: float = 0.0
    cleanup: float = 0.0


@attrs.frozen
class Leaf:
    """A child, and the lives of its incarnations; after the last it runs for ever."""

    name: str
    lives: tuple[Life, ...]
    restart: Restart
    shutdown: float | Literal["forever", "brutal"]
    reports: bool
    listens: bool
    start_timeout: float
    significant: bool


@attrs.frozen
class Group:
    """A supervisor; with a template it is dynamic, and has no members."""

    name: str
    members: "tuple[Leaf | Group, ...]"
    strategy: Strategy
    max_restarts: int | None
    within: float
    backoff: Backoff
    parks: bool
    auto_shutdown: Literal["never", "any_significant", "all_significant"]
    restart: Restart
    shutdown: float | Literal["forever", "brutal"]
    start_timeout: float
    significant: bool = False
    template: Leaf | None = None


@attrs.frozen
class Command:
    """Something people ask of the tree."""

    at: float
    operation: Operation
    path: str


@attrs.frozen
class Schedule:
    """A tree and what happens to it; at `stop_at` it is asked to stop, or cancelled."""

    seed: int
    tree: Group
    commands: tuple[Command, ...]
    stop_at: float
    cancelled: bool


def draw(seed: int) -> Schedule:
    """Return the schedule of that seed."""
    return _schedule(GridRandom(seed), seed)


def draw_crowded(seed: int) -> Schedule:
    """Return a schedule in which much happens at once, and which is stopped long after the last of it."""
    schedule = _schedule(CrowdedRandom(seed), seed)
    return attrs.evolve(schedule, stop_at=LONG_AFTER)


def _schedule(random: GridRandom, seed: int) -> Schedule:
    tree = _group(random, "root", depth=2)
    stop_at = random.uniform(0.0, 40.0)
    paths = list(_paths(tree))
    commands = tuple(
        _command(random, random.uniform(0.0, stop_at), paths)
        for _ in range(random.choice((0, 0, 1, 3, 6, 20)))
    )
    return Schedule(
        seed, tree, tuple(sorted(commands, key=lambda each: each.at)), stop_at, random.random() < 0.3
    )


def _command(random: GridRandom, at: float, paths: "list[str]") -> Command:
    operations: tuple[Operation, ...] = ("restart", "stop", "start", "resume")
    path = random.choice(paths)
    if path.rpartition("/")[2].startswith("t"):
        operations += ("add", "add", "add", "remove")
    return Command(at, random.choice(operations), path)


def _paths(group: Group, above: str = "") -> "list[str]":
    found = [f"{above}t{index}" for index in range(3)] if group.template is not None else []
    for member in group.members:
        found.append(above + member.name)
        if isinstance(member, Group):
            found += _paths(member, f"{above}{member.name}/")
    return found


def _group(random: GridRandom, name: str, depth: int, *, significant: bool = False) -> Group:
    if random.random() < 0.15:
        return _dynamic(random, name, significant=significant)
    auto: Literal["never", "any_significant", "all_significant"] = random.choice(
        ("never", "never", "never", "any_significant", "all_significant")
    )
    count = random.randint(1, 4)
    chosen = {random.randrange(count)} | {index for index in range(count) if random.random() < 0.3}
    members = tuple(
        _member(random, f"{name[0]}{index}", depth, significant=auto != "never" and index in chosen)
        for index in range(count)
    )
    parks = random.random() < 0.3
    limit = random.choice((0, 1, 2, 3, 5) if parks else (None, 0, 1, 2, 3, 5, 8))
    return Group(
        name,
        members,
        random.choice(("one_for_one", "one_for_all", "rest_for_one")),
        limit,
        random.uniform(1.0, 20.0),
        _backoff(random),
        parks,
        auto,
        _restart_of_group(random, significant=significant),
        _shutdown_of_group(random),
        _start_timeout_of_group(random),
        significant,
    )


def _dynamic(random: GridRandom, name: str, *, significant: bool) -> Group:
    parks = random.random() < 0.3
    return Group(
        name,
        (),
        "one_for_one",
        random.choice((0, 1, 2, 3) if parks else (None, 0, 1, 2, 3, 5)),
        random.uniform(1.0, 20.0),
        _backoff(random),
        parks,
        "never",
        _restart_of_group(random, significant=significant),
        _shutdown_of_group(random),
        _start_timeout_of_group(random),
        significant,
        _leaf(random, "t", significant=False),
    )


def _restart_of_group(random: GridRandom, *, significant: bool) -> Restart:
    return random.choice(
        ("transient", "temporary") if significant else ("permanent", "permanent", "transient", "temporary")
    )


def _shutdown_of_group(random: GridRandom) -> float | Literal["forever", "brutal"]:
    return random.choice(("forever", "forever", "brutal", random.uniform(0.1, 3.0)))


def _start_timeout_of_group(random: GridRandom) -> float:
    return random.choice((math.inf, math.inf, random.uniform(0.5, 4.0)))


def _backoff(random: GridRandom) -> Backoff:
    # Full jitter, so that no intensity is out of reach.
    return Backoff(
        first=random.choice((0.0, 0.5, 1.0)),
        factor=random.choice((1.0, 2.0)),
        cap=4.0,
        healthy_after=random.choice((0.0, 2.0, 5.0)),
    )


def _member(random: GridRandom, name: str, depth: int, *, significant: bool) -> Leaf | Group:
    if depth > 0 and random.random() < 0.3:
        return _group(random, name[::-1], depth - 1, significant=significant)
    return _leaf(random, name, significant=significant)


def _leaf(random: GridRandom, name: str, *, significant: bool) -> Leaf:
    reports = random.random() < 0.6
    lives = tuple(_life(random, reports=reports) for _ in range(random.randint(0, 5)))
    return Leaf(
        name,
        lives,
        random.choice(
            ("transient", "temporary")
            if significant
            else ("permanent", "permanent", "transient", "temporary")
        ),
        random.choice((random.uniform(0.1, 2.0), random.uniform(0.1, 2.0), "forever", "brutal")),
        reports,
        random.random() < 0.5,
        random.uniform(0.5, 3.0),
        significant,
    )


def _life(random: GridRandom, *, reports: bool) -> Life:
    outcomes: tuple[Outcome, ...] = ("run", "crash", "crash", "crash", "return")
    if reports:
        outcomes += ("fail_to_start",)
    outcome = random.choice(outcomes)
    return Life(
        start=random.uniform(0.01, 1.5) if reports else 0.0,
        outcome=outcome,
        after=math.inf if outcome == "run" else random.uniform(0.01, 8.0),
        polite=random.uniform(0.01, 2.0),
        cleanup=random.choice((0.0, random.uniform(0.01, 1.0))),
    )
