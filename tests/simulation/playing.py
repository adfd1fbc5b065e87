"""Runs a program, and notes everything that can be seen of it from outside."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import trio
from attrs import define, evolve, field

import rolebook as rb
from rolebook.runtime import Recorded, Settings
from rolebook.runtime.contract import AskFailed, StoredSnapshot

from .cast import ATTEMPTS, DESK, KINDS, Broken, Do, Relay, Reply
from .steps import Asked, Join, Leave, Queued, Rest, Restart, Settle, Setup, Step, Together, Told, Trouble
from .worlds import World

KEYS = ("a", "b", "c")
MOST_PROCESSES = 4

LONGEST = 3600.0
"""Virtual seconds that a program may take."""

LONGEST_IN_REALITY = 60.0


@define(eq=False)
class Actor:
    """What is known of one actor in the end."""

    events: list[Recorded]
    state: Any
    snapshot: StoredSnapshot | None
    snapshot_state: Any


@define(eq=False)
class History:
    """What was seen.

    Attributes:
        sent: Every command that the program sent, with whom it was sent to.
        unknown: Numbers of commands that may or may not have been sent: who sent them gave up.
        asked: Numbers of commands that were asked.
        doomed: Numbers of commands that a queue never hands on.
        once: From an idempotency key and whom it was for, the numbers of the commands that had it.
        lines: For each way of each process to an actor, the numbers that are handled in this order.
        due: From a number, when it was to be handled at the earliest.
        replies: From a number, the reply.
        refused: Numbers whose asker was told of a refusal.
        failed: Numbers whose asker was told of a failure.
        actors: What became of each.
        dead: Numbers of dead letters.
        left: Messages that are still there.
    """

    sent: dict[int, tuple[str, str, Do]] = field(factory=dict[int, tuple[str, str, Do]])
    unknown: set[int] = field(factory=set[int])
    asked: set[int] = field(factory=set[int])
    doomed: set[int] = field(factory=set[int])
    once: dict[tuple[str, str, str], list[int]] = field(factory=dict[tuple[str, str, str], list[int]])
    lines: dict[tuple[str, str, str], list[int]] = field(factory=dict[tuple[str, str, str], list[int]])
    due: dict[int, float] = field(factory=dict[int, float])
    replies: dict[int, Reply] = field(factory=dict[int, Reply])
    refused: set[int] = field(factory=set[int])
    failed: set[int] = field(factory=set[int])
    actors: dict[tuple[str, str], Actor] = field(factory=dict[tuple[str, str], Actor])
    dead: list[int] = field(factory=list[int])
    left: dict[str, int] = field(factory=dict[str, int])


@define(eq=False)
class Process:
    """One runtime, in a task of its own."""

    runtime: rb.Runtime
    asks: trio.Nursery
    cut: trio.CancelScope
    stop: trio.Event = field(factory=trio.Event)
    ended: trio.Event = field(factory=trio.Event)

    async def end(self, world: World, *, cut_off: bool) -> None:
        """End it in order, after its asks; or cut it off, so that it can give nothing back."""
        if cut_off:
            await world.cause(Trouble(0, "fetcher"), self.runtime.process)
            self.cut.cancel()
        self.stop.set()
        await self.ended.wait()


@define(eq=False)
class Play:
    """One run of a program."""

    app: rb.App
    setup: Setup
    world: World
    nursery: trio.Nursery
    history: History = field(factory=History)
    processes: list[Process] = field(factory=list[Process])
    opened: int = 0

    async def run(self, steps: Sequence[Step]) -> History:
        """Run the program to its end, and look at what is left."""
        self.nursery.start_soon(self._resume_now_and_then)
        for place in range(self.setup.processes):
            self.processes.append(await self._open(f"p{place}"))
        self.opened = self.setup.processes
        for step in steps:
            await self._take(step)
        for process in self.processes:
            await process.end(self.world, cut_off=False)
        last = await self._open("last")
        await self._come_to_rest()
        await self._look(last.runtime)
        await last.end(self.world, cut_off=False)
        self.nursery.cancel_scope.cancel()
        return self.history

    # ---- processes ----

    async def _resume_now_and_then(self) -> None:
        """As an operator would: what is parked is let go on, and so an ask behind it is answered."""
        while True:
            await trio.sleep(1.0 if self.world.virtual else 0.1)
            await self.world.resume()

    async def _open(self, name: str) -> Process:
        process: Process = await self.nursery.start(self._live, name)
        return process

    async def _live(self, name: str, *, task_status: trio.TaskStatus[Process]) -> None:
        setup = self.setup
        settings = Settings(
            partitions=4,
            poll_interval=5.0 if self.world.virtual else 0.2,
            take_interval=1.0 if self.world.virtual else 0.1,
            mailbox_capacity=setup.mailbox,
            blocked_capacity=setup.blocked,
            batch=setup.batch,
            residents=setup.residents,
            backoff=rb.Backoff(first=0.01, cap=0.1, jitter=0),
        )
        opened = rb.open_runtime(self.app, database=self.world.database, settings=settings, process=name)
        ended = trio.Event()
        with trio.CancelScope() as cut:
            # The asks end before their runtime does.
            async with opened as runtime, trio.open_nursery() as asks:
                process = Process(runtime, asks, cut, ended=ended)
                task_status.started(process)
                await process.stop.wait()
        ended.set()

    # ---- steps ----

    async def _take(self, step: Step) -> None:
        match step:
            case Told():
                await self._tell(step)
            case Together():
                await self._tell_together(step)
            case Asked():
                await self._ask(step)
            case Queued():
                await self._queue(step)
            case Rest():
                await trio.sleep(step.seconds)
            case Settle():
                await self._process(step.process).runtime.wait_idle()
            case Restart() | Join() | Leave() | Trouble():
                await self._change(step)

    async def _change(self, step: Restart | Join | Leave | Trouble) -> None:
        """Let processes come and go, or break something of one."""
        place = 0 if isinstance(step, Join) else step.process % len(self.processes)
        match step:
            case Restart():
                await self.processes[place].end(self.world, cut_off=step.cut_off)
                self.processes[place] = await self._open(self.processes[place].runtime.process)
            case Join():
                if len(self.processes) < MOST_PROCESSES:
                    self.opened += 1
                    self.processes.append(await self._open(f"p{self.opened}"))
            case Leave():
                if len(self.processes) > 1:
                    await self.processes.pop(place).end(self.world, cut_off=step.cut_off)
            case Trouble():
                await self.world.cause(step, self.processes[place].runtime.process)

    def _process(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    async def _tell(self, step: Told) -> None:
        number = step.command.number
        self.history.sent[number] = (step.kind, step.key, step.command)
        self.history.unknown.add(number)
        if step.delay is not None:
            self.history.due[number] = self.world.now() + step.delay
        self._note_once(step)
        with trio.move_on_after(LONGEST if step.within is None else step.within), suppress(rb.OutcomeUnknown):
            await self._process(step.process).runtime.tell(
                step.kind,
                step.key,
                step.command,
                delay=step.delay,
                priority=step.priority,
                idempotency_key=step.once,
            )
            self.history.unknown.remove(number)
            if not step.delay and step.priority == 0:
                self._in_line(step.process, step.kind, step.key, step.command)

    async def _tell_together(self, step: Together) -> None:
        for kind, key, command in step.told:
            self.history.sent[command.number] = (kind, key, command)
        await self._process(step.process).runtime.send(
            *(rb.Tell(kind, key, command) for kind, key, command in step.told)
        )
        for kind, key, command in step.told:
            self._in_line(step.process, kind, key, command)

    async def _queue(self, step: Queued) -> None:
        to = step.relay.to
        self.history.sent[to.number] = (to.kind, to.key, Do(to.number))
        if step.relay.failures >= ATTEMPTS:
            self.history.doomed.add(to.number)
        await self._process(step.process).runtime.enqueue(DESK, step.relay, key=step.key)
        way = f"{self._process(step.process).runtime.process} by {step.key}"
        self.history.lines.setdefault((way, to.kind, to.key), []).append(to.number)

    def _in_line(self, process: int, kind: str, key: str, command: Do) -> None:
        """Note that what this process sends to the actor from now on comes after this command."""
        if kind != "skip" or command.failures == 0:
            way = self._process(process).runtime.process
            self.history.lines.setdefault((way, kind, key), []).append(command.number)

    def _note_once(self, step: Told | Asked) -> None:
        if step.once is not None:
            line = self.history.once.setdefault((step.kind, step.key, step.once), [])
            line.append(step.command.number)

    async def _ask(self, step: Asked) -> None:
        number = step.command.number
        self.history.sent[number] = (step.kind, step.key, step.command)
        self.history.unknown.add(number)
        self.history.asked.add(number)
        self._note_once(step)
        process = self._process(step.process)
        if not step.wait:
            process.asks.start_soon(self._answer, process.runtime, step)
        elif await self._answer(process.runtime, step):
            self._in_line(step.process, step.kind, step.key, evolve(step.command, failures=0))

    async def _answer(self, runtime: rb.Runtime, step: Asked) -> bool:
        history, number = self.history, step.command.number
        with trio.move_on_after(LONGEST if step.within is None else step.within):
            try:
                history.replies[number] = await runtime.ask(
                    step.kind, step.key, step.command, idempotency_key=step.once
                )
            except rb.Rejected:
                history.refused.add(number)
            except (Broken, AskFailed, rb.ActorUnavailable):
                history.failed.add(number)
            except rb.OutcomeUnknown:
                return False
            history.unknown.remove(number)
            return True
        return False

    # ---- the end ----

    async def _come_to_rest(self) -> None:
        """Wait until every message has been handled, those for a later time included."""
        resting = False
        while not resting:
            await trio.sleep(1.0 if self.world.virtual else 0.01)
            resting = await self.world.at_rest()

    async def _look(self, runtime: rb.Runtime) -> None:
        history = self.history
        for kind in KINDS:
            cls: type[Any] = self.app.actors[kind].cls
            try:
                states = await runtime.read_many(cls, KEYS)
            except rb.BrokenStream as error:
                raise AssertionError(str(error)) from error
            streams = await runtime.store.load(kind, 1, dict.fromkeys(KEYS), 1)
            for key in KEYS:
                snapshot = streams[key].snapshot
                history.actors[kind, key] = Actor(
                    [each async for each in runtime.events(kind, key)],
                    states[key],
                    snapshot,
                    None if snapshot is None else self._decode(kind, snapshot),
                )
        for letter in await runtime.dead_letters(most=10_000):
            command = self.app.codec.decode_command(letter.type, letter.version, letter.payload)
            history.dead.append(command.to.number if isinstance(command, Relay) else command.number)
        history.left = {queue: count for queue, count in (await runtime.depths()).items() if count}

    def _decode(self, kind: str, snapshot: StoredSnapshot) -> Any:
        return self.app.codec.decode_state(self.app.actors[kind], snapshot.version, snapshot.state)


async def play(app: rb.App, setup: Setup, world: World, steps: Sequence[Step]) -> History:
    """Run a program and return what was seen of it."""
    with trio.move_on_after(LONGEST if world.virtual else LONGEST_IN_REALITY):
        async with trio.open_nursery() as nursery:
            return await Play(app, setup, world, nursery).run(steps)
    raise AssertionError("the program came to no end")
