"""A schedule played with the real supervisor, in virtual time."""

import math
from collections.abc import Iterator

import attrs
import trio
from trio.testing import MockClock

from rolebook.actors import Child, GaveUp, Stopping, Supervisor, Tree
from rolebook.actors.supervision import ChildDown, NotSupervising, Snapshot, Start, UnknownChild

from .model import ALIVE, ANY, Answer, Line, Look
from .schedules import Command, GridRandom, Group, Leaf, Life, Schedule
from .simulation import Result, look

NEVER = "never"


class Boom(Exception):
    """What the children of a schedule fail with."""


@attrs.define(eq=False)
class Theatre:
    """Where it is played: keeps the trace, and sees to it that no child is there twice."""

    trace: list[Line] = attrs.field(factory=list[Line])
    looks: list[Look] = attrs.field(factory=list[Look])
    answers: list[Answer] = attrs.field(factory=list[Answer])
    numbers: dict[str, int] = attrs.field(factory=dict[str, int])
    alive: set[str] = attrs.field(factory=set[str])

    def enter(self, path: str) -> int:
        assert path not in self.alive, f"two incarnations of {path}"
        self.alive.add(path)
        number = self.numbers[path] = self.numbers.get(path, 0) + 1
        self.trace.append((trio.current_time(), path, "start", number))
        return number

    def leave(self, path: str) -> None:
        self.alive.remove(path)
        self.trace.append((trio.current_time(), path, "end", self.numbers[path]))


def play(schedule: Schedule, random: type[GridRandom] = GridRandom) -> Result:
    """Return what the supervisor makes of a schedule."""
    return trio.run(_play, schedule, random(schedule.seed), clock=MockClock(autojump_threshold=0))


def agree(expected: Result, actual: Result) -> bool:
    """Whether the supervisor did what the model did; everybody who gave a command was answered."""
    free = {number for number, _, answer in expected.answers if answer == ANY}
    told = [answer for answer in expected.answers if answer[0] not in free]
    answers = [answer for answer in actual.answers if answer[0] not in free]
    same = attrs.evolve(expected, answers=()) == attrs.evolve(actual, answers=())
    return same and told == answers and all(answer != NEVER for _, _, answer in actual.answers)


async def _play(schedule: Schedule, random: GridRandom) -> Result:
    theatre = Theatre()
    tree = Tree(_build(schedule.tree, "root", theatre), random=random)
    async with trio.open_nursery() as callers, trio.open_nursery() as director:
        callers.cancel_scope.deadline = math.inf
        director.start_soon(_direct, tree, schedule, theatre, callers)
        verdict = await _perform(tree, schedule, theatre, director)
        ended_at = trio.current_time()
        director.cancel_scope.cancel()
        callers.cancel_scope.deadline = ended_at + 1  # everybody who asked is told
    assert not theatre.alive
    return Result(
        tuple(sorted(theatre.trace)), tuple(theatre.looks), tuple(sorted(theatre.answers)), ended_at, verdict
    )


async def _perform(tree: Tree, schedule: Schedule, theatre: Theatre, director: trio.Nursery) -> str:
    stopping = Stopping()
    with trio.CancelScope() as scope:
        director.start_soon(_end, tree, schedule, theatre, scope, stopping)
        try:
            await tree.run(stopping=stopping)
        except GaveUp:
            return "gave up"
    return "stopped"


async def _direct(tree: Tree, schedule: Schedule, theatre: Theatre, callers: trio.Nursery) -> None:
    for number, command in enumerate(schedule.commands):
        await trio.sleep_until(command.at)
        theatre.looks.append(tuple(_looks(tree.snapshot().children)))
        callers.start_soon(_obey, tree, command, number, theatre)


def _looks(children: tuple[Snapshot, ...]) -> Iterator[tuple[str, str, int]]:
    for child in children:
        yield child.path, look(child.state), child.incarnation
        if child.state in ALIVE:
            yield from _looks(child.children)


async def _obey(tree: Tree, command: Command, number: int, theatre: Theatre) -> None:
    answer = NEVER
    try:
        if command.operation == "add":
            above, _, name = command.path.rpartition("/")
            await tree.add(above, name, name)
        else:
            await getattr(tree, command.operation)(command.path)
        answer = "done"
    except ChildDown:
        answer = "down"
    except (NotSupervising, UnknownChild, ValueError):
        answer = "refused"
    finally:
        theatre.answers.append((number, trio.current_time(), answer))


async def _end(
    tree: Tree, schedule: Schedule, theatre: Theatre, scope: trio.CancelScope, stopping: Stopping
) -> None:
    await trio.sleep_until(schedule.stop_at)
    theatre.looks.append(tuple(_looks(tree.snapshot().children)))
    if schedule.cancelled:
        scope.cancel()
    else:
        stopping.set()


def _build(group: Group, path: str, theatre: Theatre) -> Supervisor:
    return Supervisor(
        group.name,
        tuple(
            _build(member, f"{path}/{member.name}", theatre)
            if isinstance(member, Group)
            else _child(member, f"{path}/{member.name}", theatre)
            for member in group.members
        ),
        strategy=group.strategy,
        max_restarts=group.max_restarts,
        within=group.within,
        backoff=group.backoff,
        on_exhausted="park" if group.parks else "escalate",
        auto_shutdown=group.auto_shutdown,
        restart=group.restart,
        shutdown=group.shutdown,
        start_timeout=None if group.start_timeout == math.inf else group.start_timeout,
        significant=group.significant,
        template=None if group.template is None else _child(group.template, path, theatre),
    )


def _child(leaf: Leaf, path: str, theatre: Theatre) -> Child:
    return Child(
        leaf.name,
        _start_function(leaf, path, theatre),
        leaf.restart,
        leaf.shutdown,
        leaf.start_timeout,
        leaf.significant,
    )


def _start_function(leaf: Leaf, path: str, theatre: Theatre) -> Start:
    # A dynamic child is given its name.

    async def live(below: tuple[str, ...], stopping: Stopping, task_status: "trio.TaskStatus[None]") -> None:
        place = "/".join((path, *below))
        number = theatre.enter(place)
        life = leaf.lives[number - 1] if number <= len(leaf.lives) else Life()
        try:
            await _live(life, stopping, task_status, reports=leaf.reports)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(life.cleanup)
            raise
        finally:
            theatre.leave(place)

    async def both(*name: str, stopping: Stopping, task_status: "trio.TaskStatus[None]") -> None:
        await live(name, stopping, task_status)

    async def listens(*name: str, stopping: Stopping) -> None:
        await live(name, stopping, trio.TASK_STATUS_IGNORED)

    async def reports(*name: str, task_status: "trio.TaskStatus[None]") -> None:
        await live(name, Stopping(), task_status)

    async def neither(*name: str) -> None:
        await live(name, Stopping(), trio.TASK_STATUS_IGNORED)

    if leaf.reports:
        return both if leaf.listens else reports
    return listens if leaf.listens else neither


async def _live(
    life: Life, stopping: Stopping, task_status: "trio.TaskStatus[None]", *, reports: bool
) -> None:
    if reports:
        await trio.sleep(life.start)
        if life.outcome == "fail_to_start":
            raise Boom
        task_status.started()
    if not stopping.is_set():
        with trio.move_on_after(life.after):
            await stopping.wait()
    if stopping.is_set():
        await trio.sleep(life.polite)
    elif life.outcome == "crash":
        raise Boom
