"""Turns computed ahead of a commit: what falls when it fails, at every commit and in every way."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import pytest
import trio
from attrs import Factory, define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import rolebook as rb
from rolebook.runtime import AskFailed, MemoryStore, NotRunning, Runtime
from rolebook.runtime.contract import Message
from rolebook.runtime.postgres import Connection, open_store
from tests.runtime.faults import KINDS, Fault, FaultyStore, Hooks, Kind
from tests.stores import take_all
from tests.waiting import eventually

PARTITIONS = 4
QUICK = rb.Settings(
    partitions=PARTITIONS,
    batch=3,
    poll_interval=0.2,
    take_interval=0.05,
    backoff=rb.Backoff(first=0.01, cap=0.02),
    pool_size=2,
    check_purity=True,
)


@rb.event("ledger.written")
@frozen
class Written:
    number: int
    place: int


@rb.command("ledger.write")
@frozen
class Write(rb.Command[int]):
    number: int


@rb.actor("ledger", retry=rb.Retry(attempts=5, backoff=rb.Backoff(first=0.001, cap=0.001)))
@define
class Ledger:
    """Says of each number how many came before it: so a turn on void state would be seen."""

    length: int = 0
    numbers: tuple[int, ...] = Factory(tuple)

    @rb.decide
    def write(self, command: Write) -> rb.Effects[int]:
        yield Written(command.number, self.length)
        if command.number % 5 == 0:
            yield rb.Stop()
        return self.length - 1

    @rb.apply
    def written(self, event: Written) -> None:
        self.length += 1
        self.numbers += (event.number,)


@frozen
class Work:
    """One thing to do: a tell or an ask to one key."""

    key: str
    number: int
    asks: bool = False


@define(eq=False)
class Drill:
    """One run of some work over a store with faults, and what must hold after it."""

    store: FaultyStore
    work: list[Work]
    replies: dict[int, int] = field(factory=dict[int, int])
    unknown: set[int] = field(factory=set[int])

    async def run(self) -> None:
        """Do everything, wait for its end, and look at what came of it."""
        app = rb.App("faults", actors=[Ledger])
        async with rb.open_runtime(
            app, database=self.store.as_store(), settings=QUICK, process="drill"
        ) as runtime:
            await self._tell(runtime)
            async with trio.open_nursery() as nursery:
                for work in self.work:
                    if work.asks:
                        nursery.start_soon(self._ask, runtime, work)
            await eventually(partial(self._is_done, runtime))
            for key in sorted({work.key for work in self.work}):
                await self._check(runtime, key)
        assert self.store.early == []
        if all(fault.struck is None for fault in self.store.faults):
            assert self.unknown == set(), "nothing went wrong, and somebody was told so"
            assert self.replies.keys() == {work.number for work in self.work if work.asks}

    async def _is_done(self, runtime: Runtime) -> bool:
        """Whether the mailbox is empty: what waits for a retry counts."""
        return await runtime.depths() == {"ledger": 0}

    async def _tell(self, runtime: Runtime) -> None:
        """Send everything at once; a send that was cut in its commit is looked up by its sender."""
        sends = [rb.Tell(Ledger, work.key, Write(work.number)) for work in self.work if not work.asks]
        try:
            await runtime.send(*sends)
        except (rb.OutcomeUnknown, ValueError):
            self.unknown.update(work.number for work in self.work if not work.asks)

    async def _ask(self, runtime: Runtime, work: Work) -> None:
        try:
            place = await runtime.ask(Ledger, work.key, Write(work.number))
        except (rb.OutcomeUnknown, AskFailed, ValueError):  # AskFailed: the same, by way of the mailbox
            self.unknown.add(work.number)
            return
        self.replies[work.number] = place
        stored = [each.event async for each in runtime.events(Ledger, work.key)]
        assert Written(work.number, place) in stored, "a reply came before its commit"

    async def _check(self, runtime: Runtime, key: str) -> None:
        events = [each.event async for each in runtime.events(Ledger, key)]
        numbers = [event.number for event in events]
        assert list(range(len(events))) == [event.place for event in events], "a turn on void state"
        assert max(Counter(numbers).values(), default=1) == 1, f"twice in {numbers}"
        told = [work.number for work in self.work if work.key == key and not work.asks]
        stolen = {int(message.payload.split(":")[1][:-1]) for message in self.store.stolen}
        done = [number for number in numbers if number in told]
        if not self.unknown.intersection(told) or done:
            assert [number for number in told if number not in stolen] == done
        answered = {work.number for work in self.work if work.key == key} & self.replies.keys()
        assert answered <= set(numbers)
        assert (await runtime.read(Ledger, key)).numbers == tuple(numbers)


async def drill_in_memory(work: list[Work], faults: list[Fault]) -> FaultyStore:
    real = MemoryStore(partitions=PARTITIONS)

    async def steal(message: Message) -> bool:
        mailbox = real._tables.mailbox  # pyright: ignore[reportPrivateUsage]
        if mailbox.find(message.place) is None:  # its commit was cut off after it had happened
            return False
        mailbox.take(message.place)
        return True

    async def take_over() -> None:
        real.end_session("drill")
        async with real.open_fetch_session("thief", 1) as session:
            await take_all(session, "ledger")

    store = FaultyStore(real, Hooks(steal, take_over, wait_all_tasks_blocked), faults)
    await Drill(store, work).run()
    return store


def run_in_memory(work: list[Work], faults: list[Fault]) -> FaultyStore:
    """Run a drill in virtual time."""
    return trio.run(partial(drill_in_memory, work, faults), clock=MockClock(autojump_threshold=0))


WORK = [Work("ab"[number % 3 == 0], number, asks=number % 4 == 3) for number in range(1, 21)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_any_commit_may_fail(kind: Kind, place: int) -> None:
    """Whichever commit fails, and how: nothing is lost, doubled, reordered or built on void state."""
    commit = struck = 0
    while True:
        commit += 1
        store = run_in_memory(WORK, [Fault(commit, kind, place)])
        struck += any(fault.struck is not None for fault in store.faults)
        if store.commits < commit:
            break
    # Only a message that was told can be handled by another process: many commits have none at that place.
    assert struck >= (2 if kind == "missing" else 5), "the drill must have had several turns to void"


works = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=25).map(
    lambda pairs: [Work(key, number, asks) for number, (key, asks) in enumerate(pairs, 1)]
)
fault_lists = st.lists(
    st.builds(Fault, st.integers(1, 12), st.sampled_from(KINDS[:3]), st.integers(0, 5)), max_size=4
)


@given(work=works, faults=fault_lists, cut=st.one_of(st.none(), st.integers(1, 12)), after=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_schedule_of_faults(
    work: list[Work], faults: list[Fault], cut: int | None, *, after: bool
) -> None:
    """Several commits fail, on random work: the same holds."""
    if cut is not None:
        faults = [*faults, Fault(cut, "cut after" if after else "cut before")]
    run_in_memory(work, faults)


def test_only_dependent_turns_fall() -> None:
    """A refused turn takes the later uncommitted turns of its key with it, and no turn of another key."""
    computed: Counter[int] = Counter()

    @rb.actor("ledger", retry=rb.Retry(attempts=5, backoff=rb.Backoff(first=0.001, cap=0.001)))
    @define
    class Counting:
        length: int = 0

        @rb.decide
        def write(self, command: Write) -> rb.Effects[int]:
            computed[command.number] += 1
            yield Written(command.number, self.length)
            return self.length

        @rb.apply
        def written(self, event: Written) -> None:
            self.length += 1

    async def main() -> None:
        real = MemoryStore(partitions=PARTITIONS)

        async def nothing(*_: object) -> bool:
            return False

        # The first commit is the send's; the second has all even numbers, then all odd ones: an actor each.
        fault = Fault(2, "refused", 4)
        store = FaultyStore(real, Hooks(nothing, nothing, wait_all_tasks_blocked), [fault])
        app = rb.App("faults", actors=[Counting])
        sends = [rb.Tell(Counting, "ab"[number % 2], Write(number)) for number in range(20)]
        async with rb.open_runtime(app, database=store.as_store()) as runtime:
            await runtime.send(*sends)
            while await runtime.depths() != {"ledger": 0}:
                await runtime.wait_idle()
        assert fault.struck is not None

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert {number for number, times in computed.items() if times == 1} == {0, 2, 4, 6, *range(1, 20, 2)}
    assert {number for number, times in computed.items() if times > 1} == set(range(8, 20, 2))


def test_a_keys_order_survives_a_commit_that_fails() -> None:
    """What a queue's handler began behind a message that fell is not committed before it."""

    async def main() -> list[int]:
        real = MemoryStore(partitions=PARTITIONS)

        async def nothing(*_: object) -> bool:
            return False

        # The first commit is the send's; in the second is what was handled, several of one key.
        fault = Fault(2, "refused", 0)
        store = FaultyStore(real, Hooks(nothing, nothing, wait_all_tasks_blocked), [fault])
        app = rb.App("faults", actors=[Ledger])

        retry = rb.Retry(attempts=5, backoff=rb.Backoff(first=0.001, cap=0.001))

        @app.handler("relay", retry=retry, on_failure="block")
        async def relay(command: Write, turn: rb.Turn) -> None:
            turn.send(rb.Tell(Ledger, "all", command))

        async with rb.open_runtime(app, database=store.as_store(), settings=QUICK) as runtime:
            await runtime.send(*(rb.Enqueue("relay", Write(number), key="k") for number in range(10)))
            while any((await runtime.depths()).values()):
                await runtime.wait_idle()
            written = [each.event.number async for each in runtime.events(Ledger, "all")]
        assert fault.struck is not None
        return written

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == list(range(10))


CLEAR = """
alter table rolebook.events disable trigger append_only;
delete from rolebook.events; delete from rolebook.messages; delete from rolebook.outcomes;
alter table rolebook.events enable trigger append_only
"""


@pytest.mark.parametrize("kind", KINDS)
async def test_any_commit_may_fail_on_postgres(migrated_url: str, kind: Kind) -> None:
    """The same on PostgreSQL, where another process is another session."""

    async def steal(message: Message) -> bool:
        gone = await admin.execute("delete from rolebook.messages where id = %s", (message.id,))
        return gone.rowcount > 0

    async def take_over() -> None:
        await admin.execute("update rolebook.partitions set epoch = epoch + 1")
        await admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and application_name like '% fetcher'"
        )

    async def drill(commit: int) -> bool:
        fault = Fault(commit, kind, 1)
        async with open_store(migrated_url, QUICK, "drill") as real:
            hooks = Hooks(steal, take_over, trio.lowlevel.checkpoint)
            await Drill(FaultyStore(real, hooks, [fault]), WORK).run()
        return fault.struck is not None

    struck: list[int] = []
    async with await Connection.connect(migrated_url, autocommit=True) as admin:
        for commit in (1, 2, 4):
            if await drill(commit):
                struck.append(commit)
            await admin.execute(CLEAR)
    # The first commit is the send's, which has no message that another process could have handled.
    assert struck[-2:] == [2, 4]
    assert kind == "missing" or struck[0] == 1


async def test_who_asks_is_told_when_the_runtime_ends_in_a_commit(autojump_clock: MockClock) -> None:
    """Whose commit was under way when it was cancelled gets `OutcomeUnknown`; nobody waits for ever."""
    begun = trio.Event()

    async def stall(*_: object) -> Any:
        begun.set()
        await trio.sleep_forever()

    async def attempt(runtime: Runtime, how: str) -> None:
        try:
            if how == "ask":
                await runtime.ask(Ledger, "a", Write(1))
            else:
                await runtime.tell(Ledger, "a", Write(2))
        except rb.RolebookError as error:
            ended.append(type(error))

    async def after_the_end(runtime: Runtime) -> None:
        while True:
            try:
                runtime.statistics()
            except NotRunning:
                break
            await trio.sleep(1)
        with pytest.raises(NotRunning):
            await runtime.tell(Ledger, "a", Write(3))

    app = rb.App("faults", actors=[Ledger])
    for how in ("ask", "tell"):
        begun, ended = trio.Event(), list[type[Exception]]()
        store = FaultyStore(MemoryStore(partitions=PARTITIONS), Hooks(stall, stall, stall), [])
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with rb.open_runtime(app, database=store.as_store(), settings=QUICK) as runtime:
                    nursery.start_soon(attempt, runtime, how)
                    await begun.wait()
                    nursery.start_soon(attempt, runtime, how)
                    nursery.start_soon(after_the_end, runtime)
                    await wait_all_tasks_blocked()
                    scope.cancel()
        assert len(ended) == 2, how
        assert rb.OutcomeUnknown in ended, how
