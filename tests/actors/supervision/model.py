"""What a tree of supervisors must do, as a simulation: no Trio, no tasks, one list of timers.

It knows nothing of the supervisor's code.
After each thing that happens, every plan of every supervisor is looked at and taken as far as it goes.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Literal

import attrs

from .schedules import GridRandom, Group, Leaf, Life

Line = tuple[float, str, str, int]
Look = tuple[tuple[str, str, int], ...]
Answer = tuple[int, float, str]
ANY = "any"
ALIVE = ("starting", "running", "stopping")
PENDING = ("waiting", "starting", "stopping", "backing_off")


@attrs.define(eq=False)
class World:
    """The clock, the timers, the trace and the dice."""

    random: GridRandom
    now: float = 0.0
    dirty: bool = True
    numbers: dict[str, int] = attrs.field(factory=dict[str, int])
    trace: list[Line] = attrs.field(factory=list[Line])
    looks: list[Look] = attrs.field(factory=list[Look])
    waits: "list[Wait]" = attrs.field(factory=list["Wait"])
    answers: list[Answer] = attrs.field(factory=list[Answer])
    _timers: list[tuple[float, int, Callable[[], None]]] = attrs.field(
        factory=list[tuple[float, int, Callable[[], None]]]
    )
    _count: Iterator[int] = attrs.field(factory=itertools.count)

    def at(self, when: float, do: Callable[[], None]) -> None:
        if when < math.inf:
            heapq.heappush(self._timers, (when, next(self._count), do))

    def step(self) -> bool:
        if not self._timers:
            return False
        self.now, _, do = heapq.heappop(self._timers)
        self.dirty = True
        do()
        return True

    def write(self, path: str, what: str, number: int) -> None:
        self.trace.append((self.now, path, what, number))

    def answer(self) -> None:
        """Tell those whose wait is over."""
        for wait in list(self.waits):
            if (answer := wait.answer()) is not None:
                self.waits.remove(wait)
                # While all goes down at one instant, what is seen depends on who looks first.
                is_late = wait.members[0].above.verdict
                self.answers.append((wait.number, self.now, ANY if is_late else answer))


@attrs.define(eq=False)
class Wait:
    """Somebody who waits for members to come up, the one that was named last."""

    number: int
    members: "list[Member]"
    before: "dict[Member, int]" = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.before = {member: member.times_ready for member in self.members}

    def answer(self) -> str | None:
        while self._is_over(self.members[0]):
            if len(self.members) == 1:
                up = self.members[0].state == "running" or self._came_up(self.members[0])
                return "done" if up else "down"
            del self.members[0]
        return None

    def _is_over(self, member: "Member") -> bool:
        return self._came_up(member) or (member.plan is None and member.state not in PENDING)

    def _came_up(self, member: "Member") -> bool:
        return member.times_ready > self.before[member]


@attrs.define(eq=False)
class WaitForEnd(Wait):
    """Somebody who waits for the end of a member's present incarnation."""

    incarnation: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.incarnation = self.members[0].number

    def answer(self) -> str | None:
        member = self.members[0]
        return "done" if member.state not in ALIVE or member.number != self.incarnation else None


@attrs.define(eq=False)
class Plan:
    """Members that go down, wait, and come up."""

    members: "list[Member]"
    delay: float = 0.0
    restarts: bool = False
    forced: "set[Member]" = attrs.field(factory=set["Member"])
    parks: bool = False
    first: bool = False
    to_take_down: "list[Member]" = attrs.field(factory=list["Member"])
    phase: Literal["down", "wait", "up"] = "down"
    rising: "Member | None" = None
    going: "Member | None" = None


@attrs.define(eq=False)
class Member:
    """A member of a supervisor."""

    world: World
    above: "Boss"
    spec: Leaf | Group
    path: str
    _state: str = "waiting"
    number: int = 0
    times_ready: int = 0
    leaving: bool = False
    life_number: int = 0
    attempts: int = 0
    window: list[float] = attrs.field(factory=list[float])
    ready_at: float | None = None
    plan: Plan | None = None
    asked: bool = False
    cancelled: bool = False
    boss: "Boss | None" = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def state(self) -> str:
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        self.world.dirty = self.world.dirty or state != self._state
        self._state = state

    @property
    def life(self) -> Life:
        assert isinstance(self.spec, Leaf)
        lives = self.spec.lives
        return lives[self.life_number - 1] if self.life_number <= len(lives) else Life()

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Do it in this incarnation, unless it has been cancelled by then."""
        number, cancelled = self.number, self.cancelled

        def if_still() -> None:
            if self.number == number and self.state in ALIVE and self.cancelled == cancelled:
                do()

        self.world.at(self.world.now + seconds, if_still)

    def spawn(self) -> None:
        assert self.state not in ALIVE
        self.number += 1
        self.state, self.asked, self.cancelled, self.ready_at = "starting", False, False, None
        if isinstance(self.spec, Group):
            self.boss = Boss(self.world, self.spec, self.path, self)
            self.later(self.spec.start_timeout, self._start_timeout)
            return
        self.life_number = self.world.numbers[self.path] = self.world.numbers.get(self.path, 0) + 1
        self.world.write(self.path, "start", self.life_number)
        if not self.spec.reports:
            self.ready()
            self._live()
            return
        self.later(self.life.start, self._started)
        self.later(self.spec.start_timeout, self._start_timeout)

    def _started(self) -> None:
        if self.life.outcome == "fail_to_start":
            self.end(failed=True)
            return
        self.ready()
        self._live()

    def _start_timeout(self) -> None:
        if self.state == "starting":
            self.cancel()

    def _live(self) -> None:
        if self.asked:
            self._leave()
        else:
            self.later(self.life.after, self._end_by_itself)

    def _end_by_itself(self) -> None:
        if not self.asked:
            self.end(failed=self.life.outcome == "crash")

    def _leave(self) -> None:
        self.later(self.life.polite, lambda: self.end(failed=False))

    def ready(self) -> None:
        if self.state == "starting" and not self.cancelled:
            self.state, self.ready_at = "running", self.world.now
            self.times_ready += 1
            if self.plan is not None and self.plan.rising is self:  # else it is still to be taken down
                self.plan = None

    def ask(self, *, politely: bool) -> None:
        """Ask it to stop, or cancel it."""
        if self.state == "stopping" and (politely or self.cancelled):
            return
        was, self.state = self.state, "stopping"
        listens = isinstance(self.spec, Group) or self.spec.listens
        if not politely or not listens or self.spec.shutdown == "brutal" or self.cancelled:
            self.cancel()
            return
        self.asked = True
        if isinstance(self.spec.shutdown, float):
            self.later(self.spec.shutdown, self.cancel)
        if isinstance(self.spec, Group):
            assert self.boss is not None
            self.boss.finish("stopped")
        elif was == "running":
            self._leave()

    def cancel(self) -> None:
        if self.cancelled:
            return
        self.cancelled = True
        if isinstance(self.spec, Leaf):
            self.later(self.life.cleanup, lambda: self.end(failed=False))
        else:
            assert self.boss is not None
            self.boss.finish("stopped")
            self.boss.hurry()

    def end(self, *, failed: bool) -> None:
        if isinstance(self.spec, Leaf):
            self.world.write(self.path, "end", self.life_number)
        was, self.boss = self.state, None
        if was == "stopping" or self.above.verdict:
            self.state = "stopped"
            self.above.forget_if_leaving(self)
            return
        self.state = "ended"
        self.above.note_end(self, failed=failed or (was == "starting" and self.cancelled))


@attrs.define(eq=False)
class Boss:
    """A supervisor."""

    world: World
    spec: Group
    path: str
    member: Member | None
    members: list[Member] = attrs.field(init=False)
    plans: list[Plan] = attrs.field(factory=list[Plan])
    verdict: str = ""
    ended: bool = False
    hurried: bool = False
    is_ready: bool = False
    window: list[float] = attrs.field(factory=list[float])
    attempts: int = 0
    whole_since: float | None = None
    newest: Plan | None = None

    def __attrs_post_init__(self) -> None:
        self.members = [
            Member(self.world, self, spec, f"{self.path}/{spec.name}") for spec in self.spec.members
        ]
        self.begin(Plan(list(self.members), first=True))

    # What it decides

    @property
    def alone(self) -> bool:
        return self.spec.strategy == "one_for_one"

    def together_with(self, member: Member) -> list[Member]:
        if self.alone:
            return [member]
        return (
            self.members
            if self.spec.strategy == "one_for_all"
            else self.members[self.members.index(member) :]
        )

    def startable(self, member: Member) -> list[Member]:
        def is_left_out(each: Member) -> bool:
            gone = each.spec.restart == "temporary" and each.state in ("finished", "failed")
            return gone or each.state in ("stopped", "parked")

        return [each for each in self.together_with(member) if not is_left_out(each)]

    def note_end(self, member: Member, *, failed: bool) -> None:
        restart = member.spec.restart
        if restart == "temporary" or (restart == "transient" and not failed):
            self._leave_down(member, "failed" if failed else "finished")
            return
        since = member.ready_at if self.alone else self.whole_since
        healthy = since is not None and self.world.now - since >= self.spec.backoff.healthy_after
        attempt = 1 if healthy else 1 + (member.attempts if self.alone else self.attempts)
        window = member.window if self.alone and self.spec.parks else self.window
        window[:] = [at for at in window if self.world.now - at <= self.spec.within]
        if self.spec.max_restarts is not None and len(window) + 1 > self.spec.max_restarts:
            self._exhausted(member)
            return
        window.append(self.world.now)
        if self.alone:
            member.attempts = attempt
        else:
            self.attempts = attempt
        member.state = "backing_off"
        bound = min(
            self.spec.backoff.first * self.spec.backoff.factor ** (attempt - 1), self.spec.backoff.cap
        )
        self.begin(Plan(self.startable(member), self.world.random.uniform(0.0, bound), restarts=True))

    def _exhausted(self, member: Member) -> None:
        if not self.spec.parks:
            member.state = "failed"
            self.finish("gave up")
        elif self.alone:
            member.state, member.plan = "parked", None
        else:
            member.state = "backing_off"
            self.begin(Plan(self.startable(member), parks=True))

    def _leave_down(self, member: Member, state: str) -> None:
        member.state, member.plan = state, None
        if self.spec.template is not None:
            self.members.remove(member)
        if not member.spec.significant:
            return
        down = ("finished", "failed", "stopped", "parked")
        left = [each for each in self.members if each.spec.significant and each.state not in down]
        if self.spec.auto_shutdown == "any_significant" or not left:
            self.finish("shut down")

    def forget_if_leaving(self, member: Member) -> None:
        if member.leaving:
            self.members.remove(member)
            member.leaving = False

    def finish(self, verdict: str) -> None:
        if self.verdict:
            return
        self.verdict, self.is_ready = verdict, True
        self.world.dirty = True
        for member in self.members:
            member.plan = None
            if member.state in ("waiting", "backing_off"):
                member.state = "stopped"
        self.plans.clear()

    def hurry(self) -> None:
        self.hurried = True
        for member in self.members:
            if member.state == "stopping":
                member.cancel()

    # What it does about it

    def begin(self, plan: Plan) -> None:
        for member in plan.forced:
            member.leaving = False
        olds = [member.plan for member in plan.members if member.plan is not None]
        plan.members = [each for each in self.members if each in plan.members or each.plan in olds]
        for old in olds:
            plan.first = plan.first or old.first
            plan.forced |= {member for member in old.forced if member.plan is old}
            if old in self.plans:
                self.plans.remove(old)
        for member in plan.members:
            member.plan = plan
        plan.to_take_down = list(plan.members)
        self.plans.append(plan)
        self.newest, self.whole_since = plan, None
        self.world.dirty = True

    def advance(self) -> None:
        """Take everything as far as it goes."""
        for member in self.members:
            if member.boss is not None:
                member.boss.advance()
        for plan in list(self.plans):
            if plan in self.plans:
                self._advance(plan)
        if self.verdict and not self.ended:
            self._go_down()

    def _advance(self, plan: Plan) -> None:
        if plan.phase == "down" and self._down(plan):
            if plan.parks:
                self._park(plan)
            else:
                plan.phase = "wait"
                self.world.at(self.world.now + plan.delay, lambda: self._wake(plan))
        if plan.phase == "up" and self._up(plan):
            self._done(plan)

    def _wake(self, plan: Plan) -> None:
        if plan in self.plans:
            plan.phase = "up"

    def _down(self, plan: Plan) -> bool:
        while plan.to_take_down:
            member = plan.to_take_down[-1]
            if member.state in ALIVE and (member.plan is plan or member.state == "stopping"):
                member.ask(politely=not self.hurried)
                return False
            plan.to_take_down.pop()
            if member.plan is not plan:
                continue
            if member.spec.restart == "temporary" and member.number > 0 and member not in plan.forced:
                member.plan = None
            elif member.number > 0:
                member.state = "backing_off"
        return True

    def _park(self, plan: Plan) -> None:
        for member in plan.members:
            if member.plan is plan:
                member.state, member.plan = "parked", None
        self._done(plan)

    def _up(self, plan: Plan) -> bool:
        if plan.going is not None and plan.going.state in ALIVE and plan.going.plan is plan:
            return False
        plan.going = None
        while plan.rising is None or self._has_risen(plan, plan.rising):
            mine = [member for member in self.members if member.plan is plan]
            if not mine:
                return True
            if mine[0].state in ALIVE:  # somebody is stopping it
                plan.going = mine[0]
                return False
            plan.rising = mine[0]
            mine[0].spawn()
        return False

    def _has_risen(self, plan: Plan, member: Member) -> bool:
        was_stopped = member.plan is plan and member.state != "starting"
        return was_stopped or (member.plan is None and member.state not in PENDING)

    def _done(self, plan: Plan) -> None:
        self.plans.remove(plan)
        self.world.dirty = True
        if self.newest is plan:
            self.whole_since = self.world.now
        if plan.first and not self.is_ready:
            self.is_ready = True
            if self.member is not None:
                self.member.ready()

    def _go_down(self) -> None:
        if self.spec.template is not None:
            for member in self.members:
                if member.state in ALIVE:
                    member.ask(politely=not self.hurried)
        for member in reversed(self.members):
            if member.state in ALIVE:
                member.ask(politely=not self.hurried)
                return
        self.ended = self.world.dirty = True
        if self.member is not None:
            self.member.end(failed=self.verdict == "gave up")
