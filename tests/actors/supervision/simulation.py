"""A schedule played with the model: what people ask of it, and what comes of it."""

from collections.abc import Callable, Iterator

import attrs

from .model import ALIVE, PENDING, Answer, Boss, Line, Look, Member, Plan, Wait, WaitForEnd, World
from .schedules import Command, GridRandom, Schedule


@attrs.frozen
class Result:
    """What came of a schedule: what the children did, what was seen, and what was answered to commands."""

    trace: tuple[Line, ...]
    looks: tuple[Look, ...]
    answers: tuple[Answer, ...]
    ended_at: float
    verdict: str


def simulate(schedule: Schedule) -> Result:
    """Return what a correct supervisor makes of a schedule."""
    world = World(GridRandom(schedule.seed))
    root = Boss(world, schedule.tree, "root", None)
    for number, command in enumerate(schedule.commands):
        world.at(command.at, lambda number=number, command=command: _obey(root, number, command))  # type: ignore[misc]
    world.at(schedule.stop_at, lambda: _stop(root, cancelled=schedule.cancelled))
    while not root.ended:
        while world.dirty and not root.ended:
            world.dirty = False
            root.advance()
        world.answer()
        if not root.ended and not world.step():
            raise AssertionError("the model is stuck")
    assert not world.waits
    return Result(
        tuple(sorted(world.trace)),
        tuple(world.looks),
        tuple(sorted(world.answers)),
        world.now,
        "gave up" if root.verdict == "gave up" else "stopped",
    )


def look(state: str) -> str:
    """The state as one sees it: why something is about to start makes no difference to a schedule."""
    return "waiting" if state == "backing_off" else state


def _stop(root: Boss, *, cancelled: bool) -> None:
    root.world.looks.append(tuple(_looks(root)))
    root.finish("stopped")
    if cancelled:
        root.hurry()


def _looks(boss: Boss) -> Iterator[tuple[str, str, int]]:
    for member in boss.members:
        yield member.path, look(member.state), member.number
        if member.boss is not None:
            yield from _looks(member.boss)


def _obey(root: Boss, number: int, command: Command) -> None:
    root.world.looks.append(tuple(_looks(root)))
    wait = _wait_for(root, number, command)
    if wait is None:
        root.world.answers.append((number, root.world.now, "refused"))
    else:
        root.world.waits.append(wait)


def _wait_for(root: Boss, number: int, command: Command) -> Wait | None:
    boss = root
    *above, name = command.path.split("/")
    for each in above:
        inner = next(member for member in boss.members if member.spec.name == each).boss
        if inner is None:
            return None
        boss = inner
    if boss.verdict:
        return None
    member = next((member for member in boss.members if member.name == name), None)
    if command.operation == "add":
        return None if member is not None else _add(boss, number, name)
    if member is None:
        return None
    return _COMMANDS[command.operation](boss, number, member)


def _add(boss: Boss, number: int, name: str) -> Wait:
    assert boss.spec.template is not None
    member = Member(boss.world, boss, boss.spec.template, f"{boss.path}/{name}")
    boss.members.append(member)
    wait = Wait(number, [member])
    if boss.spec.template.reports:
        boss.begin(Plan([member]))
    else:
        member.spawn()
    return wait


def _remove(boss: Boss, number: int, member: Member) -> Wait:
    member.leaving = True
    wait = _stop_member(boss, number, member)
    if member.state not in ALIVE:
        boss.forget_if_leaving(member)
    return wait


def _stop_member(_boss: Boss, number: int, member: Member) -> Wait:
    member.plan = None
    wait = WaitForEnd(number, [member])
    if member.state in ALIVE:
        member.ask(politely=True)
    elif member.state != "failed":
        member.state = "stopped"
    return wait


def _is_down(member: Member) -> bool:
    is_going = member.state == "stopping" and member.plan is None
    return is_going or (member.state not in ALIVE and member.state not in PENDING)


def _bring_up(boss: Boss, members: list[Member], member: Member) -> None:
    newest = boss.newest
    is_rising = newest is not None and newest in boss.plans and not newest.parks and not boss.alone
    if newest is not None and is_rising and all(map(_is_down, members)):
        for each in members:
            newest.forced.add(each)
            each.plan = newest
            if each.state not in ALIVE:
                each.state = "waiting"
    else:
        boss.begin(Plan(members, forced={member}))


def _start(boss: Boss, number: int, member: Member) -> Wait:
    wait = Wait(number, [member])
    if _is_down(member):
        _bring_up(boss, [member], member)
    return wait


def _restart(boss: Boss, number: int, member: Member) -> Wait:
    others = boss.startable(member)
    members = [each for each in boss.together_with(member) if each is member or each in others]
    wait = Wait(number, [*members, member])
    _bring_up(boss, members, member)
    return wait


def _resume(boss: Boss, number: int, member: Member) -> Wait:
    if member.state != "parked":
        return WaitForEnd(number, [Member(boss.world, boss, member.spec, "")])
    parked = [member] if boss.alone else [each for each in boss.members if each.state == "parked"]
    for each in parked:
        each.attempts, each.window = 0, []
    if not boss.alone:
        boss.attempts, boss.window = 0, []
    wait = Wait(number, [*parked, member])
    _bring_up(boss, parked, member)
    return wait


_COMMANDS: dict[str, Callable[[Boss, int, Member], Wait]] = {
    "stop": _stop_member,
    "start": _start,
    "restart": _restart,
    "resume": _resume,
    "remove": _remove,
}
